"""Arguments of an engine that is no library of its own: checked by name, all that is wrong told at once."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ...harness.errors import HarnessError

Arguments = TypeVar("Arguments")


def parse(
    kind: type[Arguments],
    args: Mapping[str, Any],
    defaults: Sequence[str],
    wrong: Callable[[str, Any], list[str]],
) -> tuple[Arguments, list[str]]:
    """The arguments, and the names of ours that this engine lacks.

    @param kind a dataclass, a field for each argument
    @param wrong what is wrong with a value of a known name
    @raises HarnessError `engine-rejected`
    """
    fields = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = [name for name in args if name not in fields]
    dropped = [name for name in unknown if name in defaults]
    problems = [f"there is no argument `{name}`{meant(name, fields)}" for name in unknown if name not in defaults]
    known = {name: value for name, value in args.items() if name in fields}
    for name, value in known.items():
        problems.extend(wrong(name, value))
    if problems:
        raise HarnessError("engine-rejected", "; ".join(problems))
    return kind(**known), dropped


def meant(name: str, known: Sequence[str]) -> str:
    """`; did you mean …?` where one of the known names is near."""
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean `{nearest[0]}`?" if nearest else ""
