"""Single operators of PyTorch, called without a model: which of them give other bits here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...harness.channel import Command

if TYPE_CHECKING:
    from .engine import Kernels

NAME = "kernels"
PACKAGE = "torch"
DISTRIBUTIONS = ("torch",)
VARIABLES: tuple[str, ...] = ()


def preload(model: str) -> None:
    from . import engine  # noqa: F401


def load(model: str, command: Command, scratch: Path) -> Kernels:
    from .engine import load_engine

    return load_engine(command)
