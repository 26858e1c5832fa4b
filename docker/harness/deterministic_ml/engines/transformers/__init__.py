"""Plain PyTorch with the models of transformers: no scheduler, no paged cache, no compilation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...harness.channel import Command

if TYPE_CHECKING:
    from .engine import Transformers

NAME = "transformers"
PACKAGE = "transformers"
DISTRIBUTIONS = ("transformers",)
VARIABLES: tuple[str, ...] = ()


def preload(model: str) -> None:
    from .importing import import_for

    import_for(model)


def load(model: str, command: Command, scratch: Path) -> Transformers:
    from .loading import load_engine

    return load_engine(model, command, scratch)
