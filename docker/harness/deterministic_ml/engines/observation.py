"""What a pass gives, in the bits that travel.

A channel is one thing that an engine gave for a prompt, such as its tokens; `ChannelEvent` of the protocol says which
shapes there are. `ids`, `nats`, `ranked`, `written` and `digests` make one of each shape. A dense decoder's are made by
`decoded`; another engine may name its own.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

Channel = Mapping[str, Any]


class Digest(TypedDict):
    """`TensorDigest` of the protocol."""

    name: str
    sha256: str
    nans: int


@dataclass(frozen=True)
class Observation:
    """What one prompt gave in one pass."""

    prompt: str
    # `stop`, `length`, `abort`, `unknown`; `given` where the tokens were.
    finish_reason: str
    # Each name once.
    channels: Sequence[Channel]

    def and_also(self, channel: Channel) -> Observation:
        return replace(self, channels=[*self.channels, channel])

    def packed(self) -> dict[str, Any]:
        """Fields of the `observation` event."""
        return {"prompt": self.prompt, "finishReason": self.finish_reason, "channels": list(self.channels)}


@dataclass(frozen=True)
class Pass:
    # `Witness` of the protocol.
    witness: dict[str, Any]
    # Effective sampling parameters, read back from the engine's own object.
    sampling: dict[str, Any] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    # Why this engine cannot do such a pass; then it gave nothing.
    unavailable: str | None = None


def decoded(
    *,
    prompt_tokens: Sequence[int],
    tokens: Sequence[int],
    logprobs: Sequence[float],
    top: Sequence[Mapping[int, float]],
    top_k: int,
    text: str | None = None,
) -> list[Channel]:
    """Channels of what a decoder did, step by step.

    `logprobs` has each token's own log-probability, `top` for each step those that the engine told, by token.
    No `text` where the tokens were given.
    @raises ValueError for another number of steps, and for bits that float32 would lose
    """
    if len(logprobs) != len(tokens) or len(top) != len(tokens):
        raise ValueError(f"the engine gave {len(logprobs)} log-probabilities, {len(top)} of them ranked, "
                         f"for {len(tokens)} tokens")  # fmt: skip
    channels = [
        ids("prompt-tokens", prompt_tokens),
        ids("tokens", tokens),
        nats("logprobs", logprobs),
        ranked("top-k", top, top_k),
    ]
    return channels if text is None else [*channels, written("text", text)]


def ids(name: str, values: Iterable[int]) -> Channel:
    return {"name": name, "kind": "ids", "data": pack_ids(values)}


def nats(name: str, values: Sequence[float]) -> Channel:
    # NaNs are counted first: a broken model gives constant bits, which look perfectly reproducible.
    return {"name": name, "kind": "nats", "data": _float32(values), "nans": sum(map(math.isnan, values))}


def ranked(name: str, steps: Sequence[Mapping[int, float]], k: int) -> Channel:
    """The k best of each step, by falling log-probability, then id.

    @raises ValueError where a step has fewer
    """
    best = [pair for step in steps for pair in _best(step, k)]
    if len(best) != len(steps) * k:
        raise ValueError(f"the engine gave fewer than {k} log-probabilities for a step")
    values = [logprob for _, logprob in best]
    return {
        "name": name,
        "kind": "ranked",
        "k": k,
        "ids": pack_ids(token for token, _ in best),
        "nats": _float32(values),
        "nans": sum(map(math.isnan, values)),
    }


def written(name: str, text: str) -> Channel:
    return {"name": name, "kind": "text", "text": text}


def digests(name: str, tensors: Sequence[Digest]) -> Channel:
    """Of tensors, in the order in which they were ready."""
    return {"name": name, "kind": "digests", "digests": list(tensors)}


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
