"""What `engine.args` of a suite may say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ..common import arguments

MAX_RANKS = 64
DTYPES = ("float32", "float16", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Arguments:
    # Each probe is called in each of them, where it has a kernel for it.
    dtypes: Sequence[str] = ("float32", "bfloat16")
    # `auto`: the first GPU that can be seen, else the CPU.
    device: str = "auto"
    # Another seed gives other inputs.
    seed: int = 0
    # Devices that add up what each has: 0 for all GPUs that can be seen, and none beside the CPU.
    ranks: int = 0
    deterministic_algorithms: bool = True
    allow_tf32: bool = False


def parse(args: Mapping[str, Any], defaults: Sequence[str]) -> tuple[Arguments, list[str]]:
    """The arguments, and the names of ours that this engine lacks. All that is wrong is told at once.

    @raises HarnessError `engine-rejected`
    """
    return arguments.parse(Arguments, args, defaults, _wrong)


def _wrong(name: str, value: Any) -> list[str]:
    if name == "dtypes":
        if not isinstance(value, list) or not value or any(one not in DTYPES for one in value):
            return [f"`dtypes` is {value!r}, but must be a list of {', '.join(DTYPES)}"]
        return [f"`dtypes` names {one} twice" for one in DTYPES if value.count(one) > 1]
    expected = type(getattr(Arguments, name))
    # A bool is an int in Python, and means something else here.
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        return [f"`{name}` is {value!r}, but must be {expected.__name__}"]
    if name == "ranks" and not 0 <= value <= MAX_RANKS:
        return [f"`ranks` is {value}, but must be 0 to {MAX_RANKS}"]
    return []
