"""An engine that runs: what the harness asks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...harness.channel import Command, Progress
from ...harness.errors import HarnessError, explain
from ..common import variables
from ..observation import Pass, unpack_ids
from .loaded import LoadedModel
from .passes import run_pass
from .settings import in_force
from .witness import nothing_seen


class Transformers:
    def __init__(self, loaded: LoadedModel, dropped: list[str], perturbed: str | None) -> None:
        self.loaded = loaded
        self.dropped = dropped
        self.perturbed = perturbed
        self.effective = in_force(loaded.model, loaded.args)

    def run(self, command: Command, progress: Progress) -> Pass:
        if reason := self._impossible(command):
            return Pass(nothing_seen(self.loaded.process), unavailable=reason)
        try:
            return run_pass(self.loaded, command, progress)
        except HarnessError:
            raise
        except Exception as error:
            raise explain(error) from error

    def vocabulary(self, ids: Sequence[int]) -> dict[int, str]:
        tokenizer = self.loaded.tokenizer
        last = max(tokenizer.get_vocab().values())
        return {token: tokenizer.decode([token], skip_special_tokens=False) for token in ids if token <= last}

    def variables(self, names: Sequence[str]) -> list[Mapping[str, str]]:
        return [variables.here(names)]

    def close(self) -> None:
        """Its memory goes with the process."""

    def _impossible(self, command: Command) -> str | None:
        if command["warm"]:
            return "plain transformers keeps no prefix cache between requests"
        task = self.loaded.args.task
        if task != "generate":
            decodes = command["kind"] in ("generate", "force")
            return f"a model that is asked to {task} decodes nothing" if decodes else None
        size = self.loaded.vocabulary_size
        given = (unpack_ids(request["tokens"] or "") for request in command["requests"])
        if any(token >= size for tokens in given for token in tokens):
            return f"given tokens lie beyond this model's vocabulary of {size}"
        return None
