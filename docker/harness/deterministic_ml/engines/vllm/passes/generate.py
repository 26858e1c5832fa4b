"""Samples freely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....harness.channel import Command, Progress
from ...observation import Observation, Pass, decoded
from ..arrange import arrange
from ..job import Job, Request
from ..loaded import LoadedEngine
from ..sampling import parameters


def run(engine: LoadedEngine, command: Command, progress: Progress) -> Pass:
    def job(request: Request) -> Job:
        return free(engine, request, command)

    def observe(job: Job, output: Any) -> Observation:
        (completion,) = output.outputs
        reason = completion.finish_reason
        channels = decoded(
            prompt_tokens=output.prompt_token_ids, text=completion.text, top_k=command["topK"], **steps(completion)
        )
        return Observation(job.id, reason if reason in ("stop", "length", "abort") else "unknown", channels)

    return arrange(engine, command, progress, job, observe)


def free(engine: LoadedEngine, request: Request, command: Command) -> Job:
    prompt = engine.tokenise(request, command["clock"])
    params = parameters({**engine.sampling, **request["sampling"]}, logprobs=command["topK"], detokenize=True)
    return Job(request["id"], request["observed"], prompt, prompt, params, request["input"].get("adapter"))


def steps(completion: Any) -> dict[str, Any]:
    """Arguments of `decoded` that tell what came out at each step."""
    return {
        "tokens": list(completion.token_ids),
        "logprobs": [step[token].logprob for token, step in zip(completion.token_ids, completion.logprobs)],
        "top": [told(step) for step in completion.logprobs],
    }


def told(step: Mapping[int, Any]) -> dict[int, float]:
    return {token: entry.logprob for token, entry in step.items()}
