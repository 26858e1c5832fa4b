"""What a program gave, by name, as channels of a record: tensors and numbers by their digests, texts whole.

Each name is one observation of the record, and one body: `src/record/channels.ts` and `body.ts` say how it is kept.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import numbers
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .canonical import digest

TENSORS, NUMBERS, TEXT = "tensors", "numbers", "text"

# Places in KINDS.
_TEXT_KIND, _DIGESTS_KIND = 3, 4
_MAGIC = b"DMLBODY2"


@dataclass(frozen=True)
class Digest:
    """One tensor or number: what it is, SHA-256 over its bits, and how many of its values are NaN."""

    # Of a tensor dtype and shape, `float32[2, 3]`; of a number its kind and value, `float 0.1`.
    name: str
    sha256: str
    nans: int


@dataclass(frozen=True)
class Channel:
    """`tensors` or `numbers`, by their digests; or `text`."""

    name: str
    digests: Sequence[Digest] = field(default=())
    text: str | None = None

    def described(self) -> dict[str, Any]:
        """`ChannelDigest` of the schema."""
        if self.text is None:
            return {
                "name": self.name,
                "count": len(self.digests),
                "sha256": digest([[one.name, one.sha256] for one in self.digests]),
                "nans": sum(one.nans for one in self.digests),
                "blake2b": None,
            }
        data = self.text.encode()
        return {
            "name": self.name,
            "count": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "nans": None,
            "blake2b": hashlib.blake2b(data).hexdigest(),
        }

    def body(self) -> bytes:
        """Packed, as the only channel of its body."""
        name = self.name.encode()
        if self.text is None:
            kind = _DIGESTS_KIND
            told = [{"name": one.name, "sha256": one.sha256, "nans": one.nans} for one in self.digests]
            data = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        else:
            kind, data = _TEXT_KIND, self.text.encode()
        entry = struct.pack("<4I", kind, 0, len(name), len(data))
        return b"".join((_MAGIC, struct.pack("<I", 1), entry, _filled(name), _filled(data)))


def read_body(body: bytes) -> Channel:
    """@raises ValueError for anything but a body with one channel that `Channel.body` makes"""
    try:
        count, kind, _, name_bytes, data_bytes = struct.unpack_from("<5I", body, len(_MAGIC))
        at = len(_MAGIC) + 20
        name = body[at : at + name_bytes].decode()
        at += -(-name_bytes // 4) * 4
        data = body[at : at + data_bytes].decode()
        if kind == _TEXT_KIND:
            channel = Channel(name, text=data)
        else:
            digests = [Digest(one["name"], one["sha256"], one["nans"]) for one in json.loads(data)]
            channel = Channel(name, digests)
    except (struct.error, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError("is no body that this version writes") from error
    if not body.startswith(_MAGIC) or count != 1 or channel.body() != body:
        raise ValueError("is no body that this version writes")
    return channel


def channels_of(
    tensors: Mapping[str, Any] | None, numbers: Mapping[str, Any] | None, texts: Mapping[str, str] | None
) -> dict[str, Channel]:
    """By name, in the order in which they were given.

    @raises ValueError for a name twice, and for a text that UTF-8 cannot hold
    @raises TypeError for what is no tensor, number or text
    """
    found: dict[str, Channel] = {}

    def add(name: str, channel: Channel) -> None:
        if name in found:
            raise ValueError(f"`{name}` is named twice")
        found[name] = channel

    for name, tensor in (tensors or {}).items():
        add(name, Channel(TENSORS, [tensor_digest(name, tensor)]))
    for name, told in (numbers or {}).items():
        values = told if isinstance(told, (list, tuple)) else [told]
        add(name, Channel(NUMBERS, [number_digest(name, value) for value in values]))
    for name, text in (texts or {}).items():
        if not isinstance(text, str):
            raise TypeError(f"`{name}` is no text but a {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"`{name}` has half of a character (a lone surrogate), which UTF-8 cannot hold") from error
        add(name, Channel(TEXT, text=text))
    return found


def number_digest(name: str, value: Any) -> Digest:
    if isinstance(value, numbers.Integral):
        text = f"int {int(value)}"
        # A name has no more room.
        shown = text if len(text) <= 100 else f"int of {len(text) - 4} digits"
        return Digest(shown, hashlib.sha256(text.encode()).hexdigest(), 0)
    if isinstance(value, numbers.Real):
        real = float(value)
        if real != value and not math.isnan(real):
            raise TypeError(
                f"`{name}` is a {type(value).__name__} that no float holds whole: it would be rounded first"
            )
        return Digest(f"float {real!r}", hashlib.sha256(struct.pack("<d", real)).hexdigest(), int(math.isnan(real)))
    raise TypeError(f"`{name}` is no number but a {type(value).__name__}; a tensor belongs to `tensors`")


def tensor_digest(name: str, tensor: Any) -> Digest:
    """Of its values in the order of its shape, little-endian: where they lie, and on which device, is no matter."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(tensor, torch.Tensor):
        return _of_torch(name, tensor, torch)
    if not hasattr(tensor, "__array__"):
        raise TypeError(f"`{name}` is no tensor but a {type(tensor).__name__}; a number belongs to `numbers`")
    import numpy

    array = numpy.asarray(tensor)
    if array.dtype.hasobject:
        raise TypeError(f"`{name}` is an array of objects, which have no bits of their own")
    # Fields that are aligned, and the long doubles of x86: what lies between is whatever lay there before.
    if array.dtype.names is not None or array.dtype.char in "gG":
        raise TypeError(
            f"`{name}` is an array of {array.dtype.name}, of whose bytes not all have a meaning: give its parts"
        )
    array = numpy.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(array.shape)
    try:
        nans = int(numpy.isnan(array).sum())
    except TypeError:
        nans = 0
    return _digest(array.dtype.name, array.shape, array.tobytes(), nans)


def _of_torch(name: str, tensor: Any, torch: Any) -> Digest:
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized or tensor.is_meta:
        raise TypeError(
            f"`{name}` is a tensor whose values do not lie in memory as they are (sparse, nested, quantised, meta)"
        )
    host = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    nans = 0
    if host.is_floating_point() or host.is_complex():
        # Eight-bit formats cannot be asked themselves.
        nans = int((host.float() if host.element_size() == 1 else host).isnan().sum())
    size = host.numel() * host.element_size()
    # Not every build of torch can give its memory to NumPy.
    data = (ctypes.c_char * size).from_address(host.data_ptr()) if size > 0 else b""
    told = _digest(str(host.dtype).removeprefix("torch."), host.shape, data, nans)
    # Until here its memory had to stay.
    del host
    return told


def _digest(dtype: str, shape: Iterable[int], data: Any, nans: int) -> Digest:
    return Digest(f"{dtype}{[int(size) for size in shape]}"[:512], hashlib.sha256(data).hexdigest(), nans)


def _filled(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
