"""What a pass does with its requests: a module for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ....harness.channel import Command, Progress
from ...observation import Pass
from . import force, generate, score, trace

if TYPE_CHECKING:
    from ..engine import Vllm

PASSES: Mapping[str, Callable[[Vllm, Command, Progress], Pass]] = {
    "generate": generate.run,
    "force": force.run,
    "score": score.run,
    "trace": trace.run,
}
