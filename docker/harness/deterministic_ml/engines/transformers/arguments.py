"""What `engine.args` of a suite may say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ..common import arguments


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
    # `embed` and `reward`: a vector for each text, and no tokens.
    task: str = "generate"
    # Which of a text's vectors embeds it: `auto` as the model's own files say.
    pooling: str = "auto"
    # Requests of a group that run in one forward pass.
    max_batch_size: int = 8
    # Tokens of prompt and answer together; the model's own where nothing is said.
    max_model_len: int | None = None
    # Tokens of one prefill step of a request that runs alone; whole prompts where nothing is said.
    prefill_chunk_size: int | None = None


TASKS = ("generate", "embed", "reward")
POOLINGS = ("auto", "cls", "mean", "last")
_DTYPES = ("auto", "float32", "float16", "bfloat16")
_CHOICES = {"dtype": _DTYPES, "task": TASKS, "pooling": POOLINGS}
_POSITIVE = ("max_batch_size", "max_model_len", "prefill_chunk_size")


def parse(args: Mapping[str, Any], defaults: Sequence[str]) -> tuple[Arguments, list[str]]:
    """The arguments, and the names of ours that this engine lacks. All that is wrong is told at once.

    @raises HarnessError `engine-rejected`
    """
    return arguments.parse(Arguments, args, defaults, _wrong)


def _wrong(name: str, value: Any) -> list[str]:
    expected: tuple[type, ...] = (type(getattr(Arguments, name)),)
    if name in _POSITIVE:
        expected = (int,)
    # A bool is an int in Python, and means something else here.
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        return [f"`{name}` is {value!r}, but must be {' or '.join(one.__name__ for one in expected)}"]
    if isinstance(value, int) and name in _POSITIVE and value < 1:
        return [f"`{name}` is {value}, but must be above 0"]
    if name in _CHOICES and value not in _CHOICES[name]:
        return [f"`{name}` is {value!r}, but must be one of {', '.join(_CHOICES[name])}"]
    return []
