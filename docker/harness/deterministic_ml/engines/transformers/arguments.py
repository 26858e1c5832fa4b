"""What `engine.args` of a suite may say."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ...harness.errors import HarnessError


@dataclasses.dataclass(frozen=True)
class Arguments:
    # As transformers and PyTorch name them.
    dtype: str = "auto"
    attn_implementation: str = "sdpa"
    # `auto`: the first GPU that can be seen, else the CPU.
    device: str = "auto"
    seed: int = 0
    deterministic_algorithms: bool = True
    allow_tf32: bool = False
    # Requests of a group that run in one forward pass.
    max_batch_size: int = 8
    # Tokens of prompt and answer together; the model's own where nothing is said.
    max_model_len: int | None = None
    # Tokens of one prefill step of a request that runs alone; whole prompts where nothing is said.
    prefill_chunk_size: int | None = None


_DTYPES = ("auto", "float32", "float16", "bfloat16")
_POSITIVE = ("max_batch_size", "max_model_len", "prefill_chunk_size")


def parse(args: Mapping[str, Any], defaults: Sequence[str]) -> tuple[Arguments, list[str]]:
    """The arguments, and the names of ours that this engine lacks. All that is wrong is told at once.

    @raises HarnessError `engine-rejected`
    """
    fields = {field.name: field for field in dataclasses.fields(Arguments)}
    unknown = [name for name in args if name not in fields]
    dropped = [name for name in unknown if name in defaults]
    problems = [_suggest(name, fields) for name in unknown if name not in defaults]
    known = {name: value for name, value in args.items() if name in fields}
    for name, value in known.items():
        problems.extend(_wrong(name, value))
    if problems:
        raise HarnessError("engine-rejected", "; ".join(problems))
    return Arguments(**known), dropped


def _wrong(name: str, value: Any) -> list[str]:
    expected: tuple[type, ...] = (type(getattr(Arguments, name)),)
    if name in _POSITIVE:
        expected = (int,)
    # A bool is an int in Python, and means something else here.
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        return [f"`{name}` is {value!r}, but must be {' or '.join(one.__name__ for one in expected)}"]
    if isinstance(value, int) and name in _POSITIVE and value < 1:
        return [f"`{name}` is {value}, but must be above 0"]
    if name == "dtype" and value not in _DTYPES:
        return [f"`dtype` is {value!r}, but must be one of {', '.join(_DTYPES)}"]
    return []


def _suggest(name: str, known: Mapping[str, Any]) -> str:
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    return f"there is no argument `{name}`" + (f"; did you mean `{nearest[0]}`?" if nearest else "")
