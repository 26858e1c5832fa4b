"""Decodes given tokens through the real decode path, whatever the model prefers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....harness.channel import Command, Progress
from ....harness.errors import HarnessError
from ...observation import Observation, Pass, decoded, unpack_ids
from ..arrange import Job, Request, arrange
from ..sampling import GREEDY, parameters
from ..watch import nothing_seen
from . import generate

if TYPE_CHECKING:
    from ..engine import Vllm

# In `extra_args` of a request: the tokens that ../forcing.py lets through, or ../sampler.py puts in place.
GIVEN = "deterministic_ml_given"
_PROCESSOR = f"{__name__.rpartition('.passes.')[0]}.forcing:GivenTokens"


@dataclasses.dataclass(frozen=True)
class Means:
    """How an engine is made to decode given tokens; `missing` says why it cannot be."""

    # Argument of the engine that makes it possible.
    argument: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    # Field of a request's sampling parameters that takes the tokens.
    field: str = ""
    # Method of the workers that makes it possible once they run; each gives a reason why not, or None.
    worker: str = ""
    missing: str | None = None

    def engine_args(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Lists of the suite's own stay and come first."""
        return {
            name: [*(args.get(name) or []), *value] if isinstance(value, list) else value
            for name, value in self.argument.items()
        }

    def params(self, tokens: list[int]) -> dict[str, Any]:
        return {self.field: {GIVEN: tokens} if self.field == "extra_args" else tokens}

    def installed(self, llm: Any) -> Means:
        """Where the workers have to be ready for it: these means, or why there are none."""
        if not self.worker:
            return self
        reason = next((told for told in llm.collective_rpc(self.worker) if told is not None), None)
        return self if reason is None else Means(missing=reason)


REPLAY = Means({"enable_trace_replay": True}, "trace_decode_token_ids")
PROCESSOR = Means({"logits_processors": [_PROCESSOR]}, "extra_args")
SAMPLER = Means(field="extra_args", worker="give_tokens")


def means(config: Any, known: set[str]) -> Means:
    """By the configuration that the engine is about to have: forcing must change nothing else about it."""
    if config.speculative_config is not None:
        return Means(missing="vLLM forces no tokens under speculative decoding")
    if config.model_config.logprobs_mode.startswith("processed"):
        return Means(missing=f"logprobs_mode `{config.model_config.logprobs_mode}` would tell of the force itself")
    # Model Runner V2 has no custom processors: passing one would bring back the first runner, and its bits.
    if getattr(config, "use_v2_model_runner", False):
        return REPLAY if "enable_trace_replay" in known else SAMPLER
    return PROCESSOR if "logits_processors" in known else Means(missing="this vLLM has no custom logits processors")


def run(engine: Vllm, command: Command, progress: Progress) -> Pass:
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


def beyond_vocabulary(engine: Vllm, command: Command) -> str | None:
    """Tokens of another model's, which this one cannot take."""
    size = engine.config.model_config.get_vocab_size()
    if any(token >= size for request in command["requests"] for token in given(request)):
        return f"given tokens lie beyond this model's vocabulary of {size}"
    return None
