"""How an engine is made to decode given tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# In `extra_args` of a request: the tokens that forcing.py lets through, or sampler.py puts in place.
GIVEN = "deterministic_ml_given"
_PROCESSOR = f"{__package__}.forcing:GivenTokens"


@dataclasses.dataclass(frozen=True)
class Means:
    """`missing` says why it cannot be."""

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


def means_of(config: Any, known: set[str]) -> Means:
    """By the configuration that the engine is about to have: forcing must change nothing else about it."""
    if config.speculative_config is not None:
        return Means(missing="vLLM forces no tokens under speculative decoding")
    if config.model_config.logprobs_mode.startswith("processed"):
        return Means(missing=f"logprobs_mode `{config.model_config.logprobs_mode}` would tell of the force itself")
    # Model Runner V2 has no custom processors: passing one would bring back the first runner, and its bits.
    if getattr(config, "use_v2_model_runner", False):
        return REPLAY if "enable_trace_replay" in known else SAMPLER
    return PROCESSOR if "logits_processors" in known else Means(missing="this vLLM has no custom logits processors")
