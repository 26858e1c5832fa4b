"""What this engine did, counted where it was done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Prefill steps that are listed for one request, as many as the protocol takes.
_CHUNKS = 256


@dataclass
class Seen:
    """What was computed of one request."""

    id: str
    order: int
    # Requests in its forward passes, itself included.
    together: int
    chunks: list[int] = field(default_factory=list)
    decode_steps: int = 0


@dataclass
class Watch:
    process: str
    steps: int = 0
    generated: int = 0
    prefilled: int = 0
    # Rows of forward passes that belong to no token of a request.
    padding: int = 0
    seen: list[Seen] = field(default_factory=list)

    def take_up(self, name: str, together: int) -> Seen:
        seen = Seen(name, len(self.seen), together)
        self.seen.append(seen)
        return seen

    def told(self) -> dict[str, Any]:
        """`Witness` of the protocol."""
        return {
            "process": self.process,
            "steps": self.steps,
            "generatedTokens": self.generated,
            "promptTokens": self.prefilled,
            "maxRunning": max((seen.together for seen in self.seen), default=0),
            "cachedTokens": 0,
            "preemptions": 0,
            "padding": self.padding,
            "requests": [
                {
                    "id": seen.id,
                    "order": seen.order,
                    "together": seen.together,
                    "chunks": seen.chunks[:_CHUNKS],
                    "decodeSteps": seen.decode_steps,
                    "cachedTokens": 0,
                }
                for seen in self.seen
            ],
        }


def nothing_seen(process: str) -> dict[str, Any]:
    """The witness of a pass that did not take place."""
    return Watch(process).told()
