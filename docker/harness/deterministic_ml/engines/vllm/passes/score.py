"""Prefills a known sequence, and tells the log-probabilities of every position but the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....harness.channel import Command, Progress
from ...observation import Observation, Pass, decoded
from ..arrange import arrange
from ..job import Job, Request
from ..loaded import LoadedEngine
from ..sampling import GREEDY, parameters
from ..tracing import arrange_traced, is_traceable
from ..watch import nothing_seen
from .force import beyond_vocabulary, given
from .generate import told


def run(engine: LoadedEngine, command: Command, progress: Progress) -> Pass:
    if reason := beyond_vocabulary(engine, command):
        return Pass(nothing_seen(engine.processes), unavailable=reason)

    def observe(job: Job, output: Any) -> Observation:
        tokens, positions = job.tokens[1:], output.prompt_logprobs[1:]
        channels = decoded(
            prompt_tokens=job.prompt_tokens,
            tokens=tokens,
            logprobs=[position[token].logprob for token, position in zip(tokens, positions)],
            top=[told(position) for position in positions],
            top_k=command["topK"],
        )
        return Observation(job.id, "given", channels)

    seed = command.get("noise")
    if seed is not None:
        return _noisy(engine, command, progress, seed, observe)
    with_modules = (command["trace"] or command.get("roles", False)) and is_traceable(engine)
    run_all = arrange_traced if with_modules else arrange
    return run_all(engine, command, progress, prefilled(engine, command), observe)


def _noisy(
    engine: LoadedEngine, command: Command, progress: Progress, seed: int, observe: Callable[[Job, Any], Observation]
) -> Pass:
    """With what the modules give rounded once more, as common/noise.py has it."""
    if not is_traceable(engine):
        return Pass(nothing_seen(engine.processes), unavailable="compiled modules do not run one by one")
    engine.llm.collective_rpc("begin_noise", args=(seed,))
    try:
        # After the noise, so that what is seen has it.
        run_all = arrange_traced if command.get("roles", False) else arrange
        return run_all(engine, command, progress, prefilled(engine, command), observe)
    finally:
        engine.llm.collective_rpc("end_noise")


def prefilled(engine: LoadedEngine, command: Command) -> Callable[[Request], Job]:
    """The prefill of a whole sequence, with the logits of all its positions."""
    # One token is generated, and dropped: the engine does not prefill without.
    longest = engine.config.model_config.max_model_len - 1

    def job(request: Request) -> Job:
        prompt = engine.tokenise(request, command["clock"])
        sequence = [*prompt, *given(request)][: min(request["limit"] or longest, longest)]
        params = parameters({**GREEDY, "max_tokens": 1}, prompt_logprobs=command["topK"])
        return Job(request["id"], request["observed"], prompt, sequence, params, request["input"].get("adapter"))

    return job
