"""An engine that runs: what the harness asks of it."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from typing import Any

from ...harness.channel import Command, Progress
from ...harness.errors import explain
from ..common import variables
from ..observation import Pass
from .loaded import LoadedEngine
from .passes import PASSES
from .refusals import worker_death
from .settings import effective_settings


class Vllm:
    def __init__(
        self, loaded: LoadedEngine, dropped: list[str], perturbed: str | None, warm_up_seconds: float | None
    ) -> None:
        self.loaded = loaded
        self.dropped = dropped
        self.perturbed = perturbed
        self.warm_up_seconds = warm_up_seconds
        self.effective = effective_settings(loaded.config, loaded.workers())
        # With what a command line asks for; None where it is what the host sent.
        self.requested: Mapping[str, Any] | None = None
        self.served: Mapping[str, Any] | None = None
        self.unread: Mapping[str, Mapping[str, Any]] = {}

    def run(self, command: Command, progress: Progress) -> Pass:
        try:
            return PASSES[command["kind"]](self.loaded, command, progress)
        except Exception as error:
            raise worker_death() or explain(error) from error

    def vocabulary(self, ids: Sequence[int]) -> dict[int, str]:
        tokenizer = self.loaded.llm.get_tokenizer()
        # Its own `max_token_id` may lie one too high.
        last = max(tokenizer.get_vocab().values())
        known = [token for token in ids if token <= last]
        return {token: tokenizer.decode([token], skip_special_tokens=False) for token in known}

    def variables(self, names: Sequence[str]) -> list[Mapping[str, str]]:
        import vllm.envs

        # A variable of its own that this version does not have does nothing at all.
        own = [name for name in names if name.startswith("VLLM_")]
        unknown = {name: variables.UNKNOWN for name in own if name not in vllm.envs.environment_variables}
        return [unknown, variables.here(names), *self.loaded.asked("tell_variables", list(names))]

    def close(self) -> None:
        # This process ends with it: its two searches for garbage give nothing back sooner (0.7 s of 0.9, measured).
        gc.collect = lambda *_: 0
        self.loaded.core.engine_core.shutdown()
