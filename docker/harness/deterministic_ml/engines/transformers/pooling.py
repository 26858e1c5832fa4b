"""How an embedding model makes one vector of a text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...harness.errors import HarnessError
from .arguments import Arguments

# What sentence-transformers calls the ways that are known here.
_MODES = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean", "pooling_mode_lasttoken": "last"}


@dataclass(frozen=True)
class Pooling:
    """How the last hidden states of a text become one vector."""

    mode: str
    # To the length 1.
    normalise: bool

    def of(self, states: torch.Tensor) -> torch.Tensor:
        """@param states of a text's tokens, in their order"""
        vector = {"cls": states[0], "last": states[-1], "mean": states.mean(0)}[self.mode]
        return torch.nn.functional.normalize(vector, dim=0) if self.normalise else vector


def pooling_of(model: Path, args: Arguments) -> Pooling | None:
    """As the suite says it, else the model's own files; None where no embedding is asked.

    @raises HarnessError `engine-rejected` where neither says it, or as nobody here does it
    """
    if args.task != "embed":
        return None
    steps = _read(model / "modules.json") or []
    kinds = [str(step.get("type", "")).rpartition(".")[2] for step in steps]
    if strange := [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]:
        raise HarnessError(
            "engine-rejected", f"the model's modules.json has steps that are not known here: {strange[0]}"
        )
    normalise = "Normalize" in kinds
    if args.pooling != "auto":
        return Pooling(args.pooling, normalise)
    folder = next((step.get("path", "") for step, kind in zip(steps, kinds) if kind == "Pooling"), None)
    told = {} if folder is None else _read(model / folder / "config.json") or {}
    modes = [name for name, asked in told.items() if name.startswith("pooling_mode_") and asked is True]
    if len(modes) != 1 or modes[0] not in _MODES:
        said = ", ".join(modes) or "nothing"
        raise HarnessError(
            "engine-rejected", f"`pooling`: the model's own files say {said}; `cls`, `mean` and `last` are known here"
        )
    return Pooling(_MODES[modes[0]], normalise)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
