"""Passes whose prefills are traced: what each module gave for each observed request."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from ...harness.channel import Command, Progress
from ..observation import Digest, Observation, Pass, digests
from .arrange import arrange
from .job import Job, Request
from .loaded import LoadedEngine

CHANNEL = "modules"


def is_traceable(engine: LoadedEngine) -> bool:
    """A compiled model's modules do not run one by one."""
    return bool(engine.config.model_config.enforce_eager)


def arrange_traced(
    engine: LoadedEngine,
    command: Command,
    progress: Progress,
    job: Callable[[Request], Job],
    observe: Callable[[Job, Any], Observation],
) -> Pass:
    """As `arrange`, and each observation has a further channel where its rows could be told from others'."""
    prompts: dict[str, str] = {}

    def submitted(jobs: Mapping[str, Job]) -> None:
        asked = {name: job for name, job in jobs.items() if job.observed}
        prompts.update({name: job.id for name, job in asked.items()})
        engine.llm.collective_rpc("expect_trace", args=({name: len(job.tokens) for name, job in asked.items()},))

    roles = command.get("roles", False)
    engine.llm.collective_rpc("begin_trace", args=(command["trace"], roles))
    try:
        result = arrange(engine, command, progress, job, observe, submitted)
    finally:
        ranks = engine.llm.collective_rpc("end_trace")
    modules = {prompt: merged([rank[name] for rank in ranks]) for name, prompt in prompts.items()}
    sketched = engine.llm.collective_rpc("traced_roles") if roles else []
    # Ranks share a model out: what one of them has of a role is a part that no other engine has.
    by_role = {prompts[name]: told for name, told in sketched[0].items()} if len(sketched) == 1 else {}
    observations = []
    for one in result.observations:
        if told := modules[one.prompt]:
            one = one.and_also(digests(CHANNEL, told))
        if one.prompt in by_role:
            one = one.and_also(by_role[one.prompt])
        observations.append(one)
    return dataclasses.replace(result, observations=observations)


def merged(ranks: Sequence[Sequence[Digest]]) -> list[Digest]:
    """One list: ranks that run the same modules (tensor parallel) in step, others (pipeline) one after another.

    Where only some ranks gave something (the logits are gathered on one), the rest are in step all the same. Nothing
    if a rank told nothing.
    """
    if len(ranks) == 1 or not all(ranks):
        return list(ranks[0]) if all(ranks) else []
    named: list[dict[str, Digest]] = [
        {module["name"]: {**module, "name": f"rank {rank}: {module['name']}"} for module in modules}
        for rank, modules in enumerate(ranks)
    ]
    order = max((list(modules) for modules in named), key=len)
    if all(list(modules) == [name for name in order if name in modules] for modules in named):
        return [modules[name] for name in order for modules in named if name in modules]
    return list(chain.from_iterable(modules.values() for modules in named))
