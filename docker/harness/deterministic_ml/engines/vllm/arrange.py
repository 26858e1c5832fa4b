"""Runs the requests of a pass in their groups: what all kinds of passes have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...harness.channel import Command, Progress
from ..observation import Observation, Pass
from .job import Job, Request
from .loaded import LoadedEngine
from .settings import flat_params
from .watch import Watch


def arrange(
    engine: LoadedEngine,
    command: Command,
    progress: Progress,
    job: Callable[[Request], Job],
    observe: Callable[[Job, Any], Observation],
    submitted: Callable[[Mapping[str, Job]], None] = lambda _: None,
) -> Pass:
    """`submitted` is called before a group runs, with the engine's own id of each of its requests."""
    jobs = {request["id"]: job(request) for request in command["requests"]}
    watch = Watch(engine.core, engine.scheduler)
    observations: list[Observation] = []
    sampling: dict[str, Any] = {}
    finished = 0
    with watch:
        for group in command["groups"]:
            # Nothing of an earlier group or pass is reused, unless within this group.
            engine.llm.reset_prefix_cache()
            if command["warm"]:
                with watch.aside():
                    for request in group:
                        engine.submit(jobs[request].warming())
                    for _ in _outputs(engine):
                        progress.set(finished, watch.generated)
            asked, named = {}, {}
            for request in group:
                name = engine.submit(jobs[request])
                watch.add(name, request)
                if jobs[request].observed and not sampling:
                    sampling = flat_params(_effective(engine, name, jobs[request]))
                # Outputs bear the id without the random end that the engine added (assign_request_id).
                asked[name.partition("-")[0]] = named[name] = jobs[request]
            submitted(named)
            for outputs in _outputs(engine):
                watch.stepped()
                for output in outputs:
                    finished += 1
                    if asked[output.request_id].observed:
                        observations.append(observe(asked[output.request_id], output))
                progress.set(finished, watch.generated)
    return Pass(watch.told(engine.processes), sampling, observations)


def _outputs(engine: LoadedEngine) -> Iterator[list[Any]]:
    """Steps the engine until it is idle, and gives what each step finished."""
    while engine.core.has_unfinished_requests():
        yield [output for output in engine.core.step() if output.finished]
    # Asynchronous scheduling has a step of finished requests on its way: what comes next must not meet it.
    while getattr(getattr(engine.core.engine_core, "engine_core", None), "batch_queue", None):
        engine.core.step()


def _effective(engine: LoadedEngine, name: str, job: Job) -> Any:
    """The engine's own copy of the parameters, where it can be reached."""
    own = getattr(engine.scheduler, "requests", {}).get(name)
    return job.params if own is None else own.sampling_params
