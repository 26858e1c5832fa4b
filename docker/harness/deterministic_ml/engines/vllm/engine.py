"""A loaded engine. Its core runs in this process if VLLM_ENABLE_V1_MULTIPROCESSING=0, and is stepped by us."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...harness.channel import Command, Progress
from ...harness.errors import describe, explain
from ..common import variables
from ..observation import Pass
from .passes import PASSES
from .passes.force import Means
from .prompts import token_ids
from .refusals import rejected, worker_death
from .settings import effective_settings

if TYPE_CHECKING:
    from .arrange import Job


class Vllm:
    def __init__(
        self, llm: Any, dropped: list[str], forcing: Means, perturbed: str | None, warm_up_seconds: float | None
    ) -> None:
        self.llm = llm
        self.core = llm.llm_engine
        self.config = self.core.vllm_config
        # How tokens are forced on it.
        self.forcing = forcing
        self.dropped = dropped
        self.perturbed = perturbed
        self.warm_up_seconds = warm_up_seconds
        self.effective = effective_settings(self.config, self._workers())
        # With what a command line asks for; None where it is what the host sent.
        self.requested: Mapping[str, Any] | None = None
        self.served: Mapping[str, Any] | None = None
        self.unread: Mapping[str, Mapping[str, Any]] = {}
        # What a request gets that says nothing, and how messages are rendered.
        self.sampling: Mapping[str, Any] = {}
        self.rendering: Mapping[str, Any] = {}
        self._adapters: dict[str, int] = {}

    def run(self, command: Command, progress: Progress) -> Pass:
        try:
            return PASSES[command["kind"]](self, command, progress)
        except Exception as error:
            raise worker_death() or explain(error) from error

    def vocabulary(self, ids: Sequence[int]) -> dict[int, str]:
        tokenizer = self.llm.get_tokenizer()
        # Its own `max_token_id` may lie one too high.
        last = max(tokenizer.get_vocab().values())
        known = [token for token in ids if token <= last]
        return {token: tokenizer.decode([token], skip_special_tokens=False) for token in known}

    def variables(self, names: Sequence[str]) -> list[Mapping[str, str]]:
        import vllm.envs

        # A variable of its own that this version does not have does nothing at all.
        own = [name for name in names if name.startswith("VLLM_")]
        unknown = {name: variables.UNKNOWN for name in own if name not in vllm.envs.environment_variables}
        return [unknown, variables.here(names), *self._asked("tell_variables", list(names))]

    def close(self) -> None:
        # This process ends with it: its two searches for garbage give nothing back sooner (0.7 s of 0.9, measured).
        gc.collect = lambda *_: 0
        self.core.engine_core.shutdown()

    def tokenise(self, request: Mapping[str, Any], clock: int) -> list[int]:
        try:
            return token_ids(self.llm, request["input"], clock, self.rendering)
        except Exception as error:
            raise rejected(error, f"prompt {request['id']}: ") from error

    def submit(self, job: Job) -> str:
        """Queues a request, of which nothing runs before the first step. Gives the engine's own id of it."""
        prompt: dict[str, Any] = {"prompt_token_ids": list(job.tokens)}
        try:
            (request,) = self.llm.enqueue([prompt], job.params, lora_request=self._adapter(job.adapter), use_tqdm=False)
        except Exception as error:
            raise rejected(error, f"prompt {job.id}: ") from error
        return str(request)

    def _adapter(self, name: str | None) -> Any:
        """vLLM knows them by number: the first that is asked for is 1."""
        if name is None:
            return None
        from vllm.lora.request import LoRARequest

        number = self._adapters.setdefault(name, len(self._adapters) + 1)
        return LoRARequest(name, number, str(Path(self.config.model_config.model, name)))

    @property
    def scheduler(self) -> Any:
        """The scheduler, where the core runs in this process."""
        return getattr(getattr(self.core.engine_core, "engine_core", None), "scheduler", None)

    @property
    def processes(self) -> str:
        """The workers' processes: who computed."""
        names = [worker["process"] for worker in self._workers()]
        joined = ",".join(names)
        if len(joined) <= 128:
            return joined or "unknown"
        return f"{names[0]} and {len(names) - 1} others, sha256 {sha256(joined.encode()).hexdigest()}"

    def _workers(self) -> list[dict[str, Any]]:
        """What each worker says of itself."""
        return self._asked("describe_worker")

    def _asked(self, method: str, *args: Any) -> list[dict[str, Any]]:
        """What each worker answers; empty where they cannot be asked."""
        try:
            told: list[dict[str, Any]] = self.llm.collective_rpc(method, args=args)
            return told
        except Exception as error:
            print(f"the workers cannot be asked: {describe(error)}")
            return []
