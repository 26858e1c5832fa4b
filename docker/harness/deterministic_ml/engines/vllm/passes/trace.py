"""Digests what every module gives in one prefill."""

from __future__ import annotations

import dataclasses
from itertools import chain
from typing import TYPE_CHECKING, Any

from ....harness.channel import Command, Progress
from ....harness.errors import HarnessError
from ...observation import Digest, Observation, Pass, digests, ids
from ..arrange import Job, arrange
from ..watch import nothing_seen
from .score import prefilled

if TYPE_CHECKING:
    from ..engine import Vllm


def run(engine: Vllm, command: Command, progress: Progress) -> Pass:
    if not engine.config.model_config.enforce_eager:
        reason = "the model is compiled (`enforce_eager` is off): its modules do not run one by one"
        return Pass(nothing_seen(engine.processes), unavailable=reason)
    observed = [request for request in command["requests"] if request["observed"]]
    if len(observed) != 1:
        raise HarnessError("protocol-violation", f"a trace has one observed request, not {len(observed)}")

    engine.llm.collective_rpc("begin_trace")
    try:
        result = arrange(engine, command, progress, prefilled(engine, command), _observe)
    finally:
        ranks = engine.llm.collective_rpc("end_trace")
    if not all(ranks):
        raise HarnessError("engine-failed", "a worker ran a prefill, and none of its model's modules told an output")
    (observation,) = result.observations
    return dataclasses.replace(result, observations=[observation.and_also(digests("modules", merged(ranks)))])


def merged(ranks: list[list[Digest]]) -> list[Digest]:
    """One list: ranks that run the same modules (tensor parallel) in step, others (pipeline) one after another."""
    if len(ranks) == 1:
        return ranks[0]
    names = [[module["name"] for module in modules] for modules in ranks]
    named: list[list[Digest]] = [
        [{**module, "name": f"rank {rank}: {module['name']}"} for module in modules]
        for rank, modules in enumerate(ranks)
    ]
    in_step = all(other == names[0] for other in names)
    return list(chain.from_iterable(zip(*named) if in_step else named))


def _observe(job: Job, output: Any) -> Observation:
    return Observation(job.id, "given", [ids("prompt-tokens", job.prompt_tokens)])
