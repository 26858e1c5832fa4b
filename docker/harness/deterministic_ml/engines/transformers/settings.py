"""What is really set, once a model is loaded."""

from __future__ import annotations

import os
from typing import Any

from .arguments import Arguments


def in_force(model: Any, args: Arguments) -> dict[str, Any]:
    """What is really set, read back from the model, from PyTorch and from the environment."""
    import torch

    parameter = next(model.parameters())
    told: dict[str, Any] = {
        "architecture": type(model).__name__,
        "dtype": str(parameter.dtype).removeprefix("torch."),
        "device": str(parameter.device),
        "attn_implementation": getattr(model.config, "_attn_implementation", None) or "unknown",
        "max_batch_size": args.max_batch_size,
        "max_model_len": length_of(model, args),
        "prefill_chunk_size": args.prefill_chunk_size,
        "seed": torch.initial_seed(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "deterministic_warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "matmul_allow_tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn_allow_tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cublas_workspace_config": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "sdpa_flash": torch.backends.cuda.flash_sdp_enabled(),
        "sdpa_memory_efficient": torch.backends.cuda.mem_efficient_sdp_enabled(),
        "sdpa_math": torch.backends.cuda.math_sdp_enabled(),
        "sdpa_cudnn": torch.backends.cuda.cudnn_sdp_enabled(),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
    }
    return told


def length_of(model: Any, args: Arguments) -> int:
    """Tokens that a sequence may have."""
    own = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return min(one for one in (args.max_model_len, own, 1 << 20) if one is not None)
