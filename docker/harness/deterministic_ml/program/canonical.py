"""RFC 8785 canonical JSON, byte for byte as `src/record/digest.ts` has it: digests are made over it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

_SAFE = 2**53


def canonical(value: Any) -> bytes:
    """@raises ValueError for what JSON cannot hold: NaN, an infinity, half of a character, a whole number beyond 2^53
    @raises TypeError for what is no value of JSON"""
    try:
        return _text(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a text has half of a character (a lone surrogate), which UTF-8 cannot hold") from error


def digest(value: Any) -> str:
    """SHA-256 in 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _text(value: Any) -> str:
    if value is None or isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) >= _SAFE:
            raise ValueError(f"{value} is beyond the whole numbers that JSON keeps")
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a name in JSON is a text")
        # By UTF-16, as JavaScript sorts.
        pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_text(key)}:{_text(one)}" for key, one in pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_text, value)) + "]"
    raise TypeError(f"a {type(value).__name__} is no value of JSON")


def _number(value: float) -> str:
    """As ECMAScript writes it: the shortest digits that give the number back, like Python's, in another form."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number of JSON")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, part = mantissa.partition(".")
    digits = (whole + part).lstrip("0")
    # The point stands after so many of the digits.
    point = len(whole) + int(exponent or 0) - (len(whole + part) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = f"e{point - 1:+d}"
    return sign + digits[0] + ("." + digits[1:] if count > 1 else "") + power
