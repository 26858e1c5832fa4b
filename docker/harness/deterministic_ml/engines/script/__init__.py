"""A function of the user's own: it is given each prompt, and emits named results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...harness.channel import Command

if TYPE_CHECKING:
    from .engine import Script

NAME = "script"
# Whatever else its program needs, its import tells.
PACKAGE = "deterministic_ml"
DISTRIBUTIONS: tuple[str, ...] = ()
VARIABLES: tuple[str, ...] = ()


def load(model: str, command: Command, scratch: Path) -> Script:
    from .loading import load_engine

    return load_engine(model, command, scratch)
