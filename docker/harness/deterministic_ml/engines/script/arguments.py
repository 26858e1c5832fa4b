"""What `engine.args` of a suite may say."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ...harness.errors import HarnessError


@dataclasses.dataclass(frozen=True)
class Arguments:
    # Relative to the suite: the host has read it, and sent it.
    file: str = ""
    # Further files that it imports or reads.
    files: list[str] = dataclasses.field(default_factory=list)
    function: str = "run"
    # Given to the function by name.
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    seed: int = 0
    deterministic_algorithms: bool = True
    allow_tf32: bool = False


def parse(args: Mapping[str, Any], defaults: Sequence[str]) -> tuple[Arguments, list[str]]:
    """The arguments, and the names of ours that this engine lacks. All that is wrong is told at once.

    @raises HarnessError `engine-rejected`
    """
    fields = {field.name: field for field in dataclasses.fields(Arguments)}
    unknown = [name for name in args if name not in fields]
    problems = [_suggest(name, fields) for name in unknown if name not in defaults]
    known = {name: value for name, value in args.items() if name in fields}
    usual = Arguments()
    for name, value in known.items():
        expected = type(getattr(usual, name))
        # A bool is an int in Python, and means something else here.
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            problems.append(f"`{name}` is {value!r:.200}, but must be {expected.__name__}")
    if problems:
        raise HarnessError("engine-rejected", "; ".join(problems))
    return Arguments(**known), [name for name in unknown if name in defaults]


def _suggest(name: str, known: Mapping[str, Any]) -> str:
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"; did you mean `{nearest[0]}`?" if nearest else "; what the function takes belongs under `options`"
    return f"there is no argument `{name}`{hint}"
