"""The prefills of a score, for what each module gave in them alone: beside an engine that is compiled."""

from __future__ import annotations

from typing import Any

from ....harness.channel import Command, Progress
from ....harness.errors import HarnessError
from ...observation import Observation, Pass, ids
from ..job import Job
from ..loaded import LoadedEngine
from ..tracing import arrange_traced, is_traceable
from ..watch import nothing_seen
from .force import beyond_vocabulary
from .score import prefilled


def run(engine: LoadedEngine, command: Command, progress: Progress) -> Pass:
    compiled = "the model is compiled (`enforce_eager` is off): its modules do not run one by one"
    if reason := beyond_vocabulary(engine, command) if is_traceable(engine) else compiled:
        return Pass(nothing_seen(engine.processes), unavailable=reason)

    result = arrange_traced(engine, command, progress, prefilled(engine, command), _observe)
    for observation in result.observations:
        if len(observation.channels) == 1:
            cause = f"none of its model's modules told an output of prompt {observation.prompt}"
            raise HarnessError("engine-failed", f"a worker ran a prefill, and {cause}")
    return result


def _observe(job: Job, _output: Any) -> Observation:
    return Observation(job.id, "given", [ids("prompt-tokens", job.prompt_tokens)])
