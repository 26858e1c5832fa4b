"""A loaded engine as its passes see it.

Its core runs in this process if VLLM_ENABLE_V1_MULTIPROCESSING=0, and is stepped by us.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...harness.errors import describe
from .job import Job
from .means import Means
from .prompts import token_ids
from .refusals import rejected


class LoadedEngine:
    def __init__(self, llm: Any, forcing: Means) -> None:
        self.llm = llm
        self.core = llm.llm_engine
        self.config = self.core.vllm_config
        # How tokens are forced on it.
        self.forcing = forcing
        # What a request gets that says nothing, and how messages are rendered.
        self.sampling: Mapping[str, Any] = {}
        self.rendering: Mapping[str, Any] = {}
        self._adapters: dict[str, int] = {}

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
        names = [worker["process"] for worker in self.workers()]
        joined = ",".join(names)
        if len(joined) <= 128:
            return joined or "unknown"
        return f"{names[0]} and {len(names) - 1} others, sha256 {sha256(joined.encode()).hexdigest()}"

    def workers(self) -> list[dict[str, Any]]:
        """What each worker says of itself."""
        return self.asked("describe_worker")

    def asked(self, method: str, *args: Any) -> list[dict[str, Any]]:
        """What each worker answers; empty where they cannot be asked."""
        try:
            told: list[dict[str, Any]] = self.llm.collective_rpc(method, args=args)
            return told
        except Exception as error:
            print(f"the workers cannot be asked: {describe(error)}")
            return []
