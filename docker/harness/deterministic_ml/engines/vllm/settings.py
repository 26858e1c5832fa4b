"""What the running engine uses, read from its own objects."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Any

from . import determinism

# Effective settings and where the running engine's VllmConfig holds them.
_EFFECTIVE = {
    "architecture": "model_config.architecture",
    "dtype": "model_config.dtype",
    "max_model_len": "model_config.max_model_len",
    "quantization": "model_config.quantization",
    "enforce_eager": "model_config.enforce_eager",
    "use_v2_model_runner": "use_v2_model_runner",
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
    "kv_cache_memory_bytes": "cache_config.kv_cache_memory_bytes",
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


def effective_settings(config: Any, workers: list[dict[str, Any]]) -> dict[str, Any]:
    settings = {name: _flat(_follow(config, path)) for name, path in _EFFECTIVE.items()}
    backends = sorted({backend for worker in workers for backend in worker["backends"]})
    settings["attention_backend"] = ",".join(backends) or "unknown"
    settings["ranks"] = len(workers) or "unknown"
    if len(workers) > 1:
        settings["collectives"] = ",".join(sorted({worker["collectives"] for worker in workers}))
    if determinism.is_asked():
        told = [worker["batch_invariant"] for worker in workers]
        settings["batch_invariant"] = "unknown" if None in told or not told else all(told)
    return settings


def ranks(args: Mapping[str, object]) -> int:
    """Processes between which something is summed or handed on, by the engine's arguments."""
    count = 1
    for name in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"):
        size = args.get(name)
        count *= size if isinstance(size, int) and size > 1 else 1
    return count


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


def flat_params(params: Any) -> dict[str, Any]:
    """Public fields of the parameters, and what the engine itself added to the stop conditions."""
    fields = {name: getattr(params, name) for name in params.__struct_fields__ if not name.startswith("_")}
    fields["eos_token_id"] = getattr(params, "_eos_token_id", None)
    fields["all_stop_token_ids"] = sorted(getattr(params, "_all_stop_token_ids", ()))
    return {name: value if isinstance(value, list) else _flat(value) for name, value in fields.items()}
