"""What a pass gives, in the bits that travel."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Observation:
    """What one prompt gave in one pass."""

    prompt: str
    finish_reason: str
    text: str
    prompt_tokens: Sequence[int]
    tokens: Sequence[int]
    # For each step: the token's log-probability, and the log-probabilities that the engine told by token.
    logprobs: Sequence[float]
    top: Sequence[Mapping[int, float]]

    def packed(self, top_k: int) -> dict[str, Any]:
        """Fields of the `observation` event."""
        best = [pair for step in self.top for pair in _best(step, top_k)]
        if len(best) != len(self.tokens) * top_k or len(self.logprobs) != len(self.tokens):
            raise ValueError(f"the engine gave fewer than {top_k} log-probabilities for a step of {self.prompt!r}")
        top = [logprob for _, logprob in best]
        return {
            "prompt": self.prompt,
            "finishReason": self.finish_reason,
            "text": self.text,
            "promptTokens": pack_ids(self.prompt_tokens),
            "tokens": pack_ids(self.tokens),
            "logprobs": _float32(self.logprobs),
            "topK": top_k,
            "topIds": pack_ids(token for token, _ in best),
            "topLogprobs": _float32(top),
            # Counted first: a broken model gives constant bits, which look perfectly reproducible.
            "nans": sum(map(math.isnan, [*self.logprobs, *top])),
        }


@dataclass(frozen=True)
class Trace:
    """What each module gave in one prefill."""

    prompt: str
    prompt_tokens: Sequence[int]
    # `ModuleDigest` of the protocol.
    modules: list[dict[str, Any]]

    def packed(self) -> dict[str, Any]:
        """Fields of the `trace` event."""
        return {"prompt": self.prompt, "promptTokens": pack_ids(self.prompt_tokens), "modules": self.modules}


@dataclass(frozen=True)
class Pass:
    # `Witness` of the protocol.
    witness: dict[str, Any]
    # Effective sampling parameters, read back from the engine's own object.
    sampling: dict[str, Any] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    # Why this engine cannot do such a pass; then it gave nothing.
    unavailable: str | None = None


def pack_ids(values: Iterable[int]) -> str:
    values = list(values)
    return base64.b64encode(struct.pack(f"<{len(values)}I", *values)).decode()


def unpack_ids(packed: str) -> list[int]:
    data = base64.b64decode(packed)
    return list(struct.unpack(f"<{len(data) // 4}I", data))


def _best(step: Mapping[int, float], top_k: int) -> list[tuple[int, float]]:
    """The k best by falling log-probability, then id; NaNs come last. A chosen token beyond k drops out."""
    return sorted(step.items(), key=lambda pair: (math.isnan(pair[1]), -pair[1], pair[0]))[:top_k]


def _float32(values: Sequence[float]) -> str:
    # -0.0 + 0.0 is 0.0: the two are equal, so they must not differ in bits.
    bits = struct.pack(f"<{len(values)}f", *(value + 0.0 for value in values))
    for value, back in zip(values, struct.unpack(f"<{len(values)}f", bits)):
        if value != back and not math.isnan(value):
            raise ValueError(f"the engine's log-probability {value!r} is no float32: its bits would be lost")
    return base64.b64encode(bits).decode()
