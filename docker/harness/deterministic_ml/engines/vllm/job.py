"""A request as it is submitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Request = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    id: str
    observed: bool
    # Of the prompt alone, as this engine tokenises it.
    prompt_tokens: Sequence[int]
    # What the engine is given, which may go on after the prompt.
    tokens: Sequence[int]
    params: Any
    # Folder of a LoRA adapter, below the model's own.
    adapter: str | None = None

    def warming(self) -> Job:
        """The same prefill, and no more than it takes to fill the prefix cache."""
        params = self.params.clone()
        params.max_tokens, params.min_tokens = 1, 0
        return Job(self.id, False, self.prompt_tokens, self.tokens, params, self.adapter)
