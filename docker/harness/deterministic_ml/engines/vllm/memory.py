"""How large the cache of keys and values is, where the host leaves that to us (`auto`).

vLLM takes what is free on the GPU when it starts, so that a neighbour changes how many blocks there are, and with them
which requests run together. A size in bytes that follows from the model and its arguments is the same each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ARGUMENT = "kv_cache_memory_bytes"
# Of the card, what vLLM wants free before it starts: 92 % where nothing is said, also where the bytes are given.
SHARE = "gpu_memory_utilization"
AUTO = "auto"

# With the bytes given vLLM (0.26 and 0.30, read) looks at the share for nothing else, and a neighbour is no obstacle.
LITTLE = 0.01

_MIB = 1 << 20
LEAST = 2048 * _MIB
# Formats of the cache that are narrower than the model's own; of any other, the model's is taken.
_ONE_BYTE = ("fp8", "int8")
# Blocks are whole, and one of them is kept back.
_SPARE_TOKENS = 512


def without(args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments but for each `auto`, which vLLM does not know."""
    return {name: value for name, value in args.items() if name not in (ARGUMENT, SHARE) or value != AUTO}


def pinned(args: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """The arguments with numbers in the place of `auto`; without them where vLLM has to find its own.

    @param config vLLM's own for these arguments, or None where it did not tell it
    """
    found = without(args)
    if args.get(ARGUMENT) == AUTO and config is not None and (size := cache_bytes(config)) is not None:
        found[ARGUMENT] = size
    if args.get(SHARE) == AUTO and isinstance(found.get(ARGUMENT), int):
        found[SHARE] = LITTLE
    return found


def cache_bytes(config: Any) -> int | None:
    """Bytes on each GPU: one sequence of the greatest length and a quarter more, and 2 GiB at least.

    A token takes layers x heads of keys x size of a head x bytes of a number, twice where values are kept apart from
    keys. The quarter is for layers with windows, which vLLM puts in groups that it fills up. None for what is counted
    otherwise: states instead of keys, an encoder's, a draft model's; and for a CPU, which has its own setting.
    """
    model, parallel = config.model_config, config.parallel_config
    if config.device_config.device_type == "cpu" or config.speculative_config is not None:
        return None
    if model.is_hybrid or model.is_attention_free or model.is_encoder_decoder:
        return None
    # A stage of a pipeline may have one layer more than the first.
    layers = model.get_num_layers(parallel) + (parallel.pipeline_parallel_size > 1)
    narrow = str(config.cache_config.cache_dtype).startswith(_ONE_BYTE)
    width = 1 if narrow else model.dtype.itemsize
    token = layers * model.get_num_kv_heads(parallel) * model.get_head_size() * width * (1 if model.use_mla else 2)
    needed = token * (model.max_model_len + _SPARE_TOKENS) * 5 // 4
    return int(max(LEAST, -(-needed // _MIB) * _MIB))
