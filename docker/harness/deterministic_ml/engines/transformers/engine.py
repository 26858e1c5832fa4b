"""A loaded model, and the passes that it can do."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ...harness.channel import Command, Progress
from ...harness.errors import HarnessError, explain
from ...harness.lifeline import identity
from ..common import variables
from ..common.prompts import chat_of, rendered
from ..observation import Pass, unpack_ids
from .arguments import Arguments
from .passes import Job, run_pass
from .settings import in_force, length_of
from .vectors import Pooling
from .witness import nothing_seen


class Transformers:
    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        args: Arguments,
        dropped: list[str],
        perturbed: str | None,
        pooling: Pooling | None = None,
    ) -> None:
        self.model = model
        # Of an embedding model.
        self.pooling = pooling
        self.tokenizer = tokenizer
        self.args = args
        self.length = length_of(model, args)
        self.process = identity(os.getpid())
        self.dropped = dropped
        self.perturbed = perturbed
        self.effective = in_force(model, args)

    def run(self, command: Command, progress: Progress) -> Pass:
        if reason := self._impossible(command):
            return Pass(nothing_seen(self.process), unavailable=reason)
        try:
            return run_pass(self, command, progress)
        except HarnessError:
            raise
        except Exception as error:
            raise explain(error) from error

    def vocabulary(self, ids: Sequence[int]) -> dict[int, str]:
        last = max(self.tokenizer.get_vocab().values())
        return {token: self.tokenizer.decode([token], skip_special_tokens=False) for token in ids if token <= last}

    def variables(self, names: Sequence[str]) -> list[Mapping[str, str]]:
        return [variables.here(names)]

    def close(self) -> None:
        """Its memory goes with the process."""

    @property
    def vocabulary_size(self) -> int:
        return int(self.model.get_output_embeddings().weight.shape[0])

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
    def batch_size(self) -> int:
        # A reward model finds the end of a text by what fills it up: without such a token each runs alone.
        alone = self.args.task == "reward" and self.model.config.get_text_config().pad_token_id is None
        return 1 if alone else self.args.max_batch_size

    @property
    def filling(self) -> int:
        """The token that fills short texts up; masked."""
        return int(self.model.config.get_text_config().pad_token_id or 0)

    def _impossible(self, command: Command) -> str | None:
        if command["warm"]:
            return "plain transformers keeps no prefix cache between requests"
        if self.args.task != "generate":
            decodes = command["kind"] in ("generate", "force")
            return f"a model that is asked to {self.args.task} decodes nothing" if decodes else None
        size = self.vocabulary_size
        given = (unpack_ids(request["tokens"] or "") for request in command["requests"])
        if any(token >= size for tokens in given for token in tokens):
            return f"given tokens lie beyond this model's vocabulary of {size}"
        return None
