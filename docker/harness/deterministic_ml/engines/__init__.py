"""The engines. A new one is a module in this folder, shaped like `Module`, and a word in `ENGINES`."""

from __future__ import annotations

import gc
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from ..harness.channel import Command, Progress
from ..harness.errors import HarnessError
from .observation import Pass

ENGINES = (
    "vllm",
    "transformers",
    "kernels",
    "script",
)


class Running(Protocol):
    """An engine with its model loaded."""

    dropped: list[str]
    effective: dict[str, Any]
    # What the perturbation really changed, in words.
    perturbed: str | None
    # May have, besides, `warm_up_seconds: float | None`: those of its load that went into warming up, as it tells them.

    def run(self, command: Command, progress: Progress) -> Pass: ...

    def vocabulary(self, ids: Sequence[int]) -> dict[int, str]:
        """Texts of single tokens; ids that the tokenizer does not have are left out."""
        ...

    def variables(self, names: Sequence[str]) -> list[Mapping[str, str]]:
        """What has become of these variables in each process that computes; common/variables.py has the words."""
        ...

    def close(self) -> None: ...


class Module(Protocol):
    """What a module of this folder offers. Importing it must not import its package: that may take seconds."""

    NAME: str
    PACKAGE: str
    DISTRIBUTIONS: Sequence[str]
    # Beginnings of the names of its own environment variables, which may change the numbers.
    VARIABLES: Sequence[str]

    def load(self, model: str, command: Command, scratch: Path) -> Running:
        """Answers the `load` command.

        @param model its folder, empty for an engine that computes without one
        @param scratch a private folder that goes when the harness ends
        """
        ...


class Importing(Protocol):
    """What a module offers besides if its lifetimes may be forks of a process that has imported the engine."""

    def preload(self, model: str) -> None:
        """Imports what `load` will, of this model too. Touches no device and leaves no thread: it is looked at."""
        ...


def imports_apart(engine: Module) -> bool:
    """Whether the engine can be imported apart from being loaded."""
    return hasattr(engine, "preload")


def preload(engine: Module, model: str) -> bool:
    """Imports it where that can be done apart; says whether it can."""
    if not imports_apart(engine):
        return False
    # Nearly all of it stays, and is looked through for garbage again and again while it comes: 2 s of a start of vLLM,
    # part of them in its load (measured). What is garbage of it, 20 MB, stays too.
    gc.disable()
    try:
        cast(Importing, engine).preload(model)
    finally:
        gc.freeze()
        gc.enable()
    return True


def find(name: str) -> Module:
    if name not in ENGINES:
        raise HarnessError("engine-missing", f"this harness has no engine `{name}`; it has {', '.join(ENGINES)}")
    engine = cast(Module, importlib.import_module(f"{__name__}.{name}"))
    if importlib.util.find_spec(engine.PACKAGE) is None:
        raise HarnessError("engine-missing", f"the Python here has no package `{engine.PACKAGE}`")
    return engine
