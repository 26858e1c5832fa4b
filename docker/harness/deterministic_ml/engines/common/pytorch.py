"""PyTorch's own settings, as an engine of ours makes them and reads them back."""

from __future__ import annotations

import os
from typing import Any, Protocol


class Asked(Protocol):
    @property
    def seed(self) -> int: ...
    @property
    def deterministic_algorithms(self) -> bool: ...
    @property
    def allow_tf32(self) -> bool: ...


def make_repeatable(asked: Asked) -> None:
    """Before anything is computed."""
    import torch

    from ... import seeding

    if asked.deterministic_algorithms:
        seeding.set_deterministic(asked.seed)
    else:
        torch.manual_seed(asked.seed)
    torch.backends.cuda.matmul.allow_tf32 = asked.allow_tf32
    torch.backends.cudnn.allow_tf32 = asked.allow_tf32


def device_of(asked: str) -> str:
    """@param asked `auto`: the first GPU that can be seen, else the CPU"""
    import torch

    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "cpu"


def in_force() -> dict[str, Any]:
    """What is really set."""
    import torch

    return {
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
