"""Decodes given tokens through the real decode path, whatever the model prefers."""

from __future__ import annotations

import dataclasses
from typing import Any

from ....harness.channel import Command, Progress
from ....harness.errors import HarnessError
from ...observation import Observation, Pass, decoded, unpack_ids
from ..arrange import arrange
from ..job import Job, Request
from ..loaded import LoadedEngine
from ..sampling import GREEDY, parameters
from ..watch import nothing_seen
from . import generate


def run(engine: LoadedEngine, command: Command, progress: Progress) -> Pass:
    if reason := engine.forcing.missing or beyond_vocabulary(engine, command):
        return Pass(nothing_seen(engine.processes), unavailable=reason)

    def job(request: Request) -> Job:
        if not request["observed"]:
            return generate.free(engine, request, command)
        tokens = given(request)
        if not tokens:
            raise HarnessError("protocol-violation", f"prompt {request['id']}: there are no tokens to force")
        prompt = engine.tokenise(request, command["clock"])
        # `max_tokens` ends it: a request that ran on would have no token to be given.
        params = parameters(
            {**GREEDY, "max_tokens": len(tokens)}, logprobs=command["topK"], **engine.forcing.params(tokens)
        )
        return Job(request["id"], True, prompt, prompt, params, request["input"].get("adapter"))

    def observe(job: Job, output: Any) -> Observation:
        (completion,) = output.outputs
        channels = decoded(prompt_tokens=job.prompt_tokens, top_k=command["topK"], **generate.steps(completion))
        return Observation(job.id, "given", channels)

    result = arrange(engine, command, progress, job, observe)
    # The tokens are in the observations already, and `sampling` tells of the first one only.
    sampling = {name: value for name, value in result.sampling.items() if name != engine.forcing.field}
    return dataclasses.replace(result, sampling=sampling)


def given(request: Request) -> list[int]:
    return unpack_ids(request["tokens"] or "")


def beyond_vocabulary(engine: LoadedEngine, command: Command) -> str | None:
    """Tokens of another model's, which this one cannot take."""
    size = engine.config.model_config.get_vocab_size()
    if any(token >= size for request in command["requests"] for token in given(request)):
        return f"given tokens lie beyond this model's vocabulary of {size}"
    return None
