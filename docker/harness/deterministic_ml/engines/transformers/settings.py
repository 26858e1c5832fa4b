"""What is really set, once a model is loaded."""

from __future__ import annotations

from typing import Any

from ..common import pytorch
from .arguments import Arguments


def in_force(model: Any, args: Arguments) -> dict[str, Any]:
    """What is really set, read back from the model, from PyTorch and from the environment."""
    parameter = next(model.parameters())
    return {
        "architecture": type(model).__name__,
        "dtype": str(parameter.dtype).removeprefix("torch."),
        "device": str(parameter.device),
        "attn_implementation": getattr(model.config, "_attn_implementation", None) or "unknown",
        "max_batch_size": args.max_batch_size,
        "max_model_len": length_of(model, args),
        "prefill_chunk_size": args.prefill_chunk_size,
        **pytorch.in_force(),
    }


def length_of(model: Any, args: Arguments) -> int:
    """Tokens that a sequence may have."""
    own = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return min(one for one in (args.max_model_len, own, 1 << 20) if one is not None)
