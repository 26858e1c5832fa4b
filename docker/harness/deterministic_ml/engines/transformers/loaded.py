"""A loaded model as its passes see it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...harness.errors import HarnessError
from ...harness.lifeline import identity
from ..common.prompts import chat_of, rendered
from ..observation import unpack_ids
from .arguments import Arguments
from .pooling import Pooling
from .settings import length_of


@dataclass(frozen=True)
class Job:
    """A request as it is computed."""

    id: str
    observed: bool
    prompt: Sequence[int]
    # Tokens that follow, whatever the model prefers.
    given: Sequence[int]
    sampling: Mapping[str, Any]
    limit: int | None


class LoadedModel:
    def __init__(self, model: Any, tokenizer: Any, args: Arguments, pooling: Pooling | None) -> None:
        self.model = model
        # Of an embedding model.
        self.pooling = pooling
        self.tokenizer = tokenizer
        self.args = args
        self.length = length_of(model, args)
        self.process = identity(os.getpid())

    def job(self, request: Mapping[str, Any], clock: int) -> Job:
        prompt = self._tokenise(request, clock)
        if not prompt:
            raise HarnessError("engine-rejected", f"prompt {request['id']}: it has no token")
        return Job(
            id=request["id"],
            observed=request["observed"],
            prompt=prompt,
            given=unpack_ids(request["tokens"] or ""),
            sampling=request["sampling"],
            limit=request["limit"],
        )

    def _tokenise(self, request: Mapping[str, Any], clock: int) -> list[int]:
        content = request["input"]
        try:
            if (chat := chat_of(content)) is not None:
                return rendered(self.tokenizer, chat, clock)
            if "token-ids" in content:
                return list(content["token-ids"])
            return list(self.tokenizer(content["text"])["input_ids"])
        except Exception as error:
            raise HarnessError("engine-rejected", f"prompt {request['id']}: {error}") from error

    @property
    def vocabulary_size(self) -> int:
        return int(self.model.get_output_embeddings().weight.shape[0])

    @property
    def batch_size(self) -> int:
        # A reward model finds the end of a text by what fills it up: without such a token each runs alone.
        alone = self.args.task == "reward" and self.model.config.get_text_config().pad_token_id is None
        return 1 if alone else self.args.max_batch_size

    @property
    def filling(self) -> int:
        """The token that fills short texts up; masked."""
        return int(self.model.config.get_text_config().pad_token_id or 0)
