"""All that transformers needs in memory before it loads a model, without a device."""

from __future__ import annotations

import contextlib
import importlib
import json
import re
from pathlib import Path


def import_for(model: str) -> None:
    # Deterministic algorithms, which are on unless a suite turns them off, have PyTorch import its compiler.
    import torch._inductor  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

    from . import loading  # noqa: F401

    # Whatever is wrong with it is told by the load that needs it.
    with contextlib.suppress(Exception):
        kind = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))["model_type"]
        name = re.sub(r"\W", "_", kind)
        importlib.import_module(f"transformers.models.{name}.modeling_{name}")
