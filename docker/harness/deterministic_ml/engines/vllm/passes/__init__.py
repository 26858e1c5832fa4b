"""What a pass does with its requests: a module for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ....harness.channel import Command, Progress
from ...observation import Pass
from ..loaded import LoadedEngine
from . import force, generate, score, trace

PASSES: Mapping[str, Callable[[LoadedEngine, Command, Progress], Pass]] = {
    "generate": generate.run,
    "force": force.run,
    "score": score.run,
    "trace": trace.run,
}
