"""Embedding and reward models: a vector for each text, from one forward pass of its own tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...harness.channel import Command
from ...harness.errors import HarnessError
from ..common.hooks import Hooks, Rows
from ..observation import Digest, Observation, digests, ids, nats
from .arguments import Arguments
from .witness import Watch

if TYPE_CHECKING:
    from .engine import Transformers
    from .passes import Job

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


def give_vectors(
    engine: Transformers, batch: Sequence[Job], command: Command, watch: Watch, sign: Callable[[], None]
) -> list[Observation]:
    sequences = [list(job.prompt)[: min(job.limit or engine.length, engine.length)] for job in batch]
    seen = [watch.take_up(job.id, len(batch)) for job in batch]
    width = max(map(len, sequences))
    tokens = torch.full((len(batch), width), engine.filling, dtype=torch.long)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        tokens[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
        watch.prefilled += len(sequence)
        seen[row].chunks.append(len(sequence))
    watch.padding += int((mask == 0).sum())
    watch.steps += 1
    alone = batch[0] if len(batch) == 1 and batch[0].observed and command["trace"] else None
    hooks = None if alone is None else Hooks(engine.model)
    modules: dict[str, list[Digest]] = {}
    try:
        if hooks is not None and alone is not None:
            hooks.expect(alone.id, width)
            hooks.step([Rows(alone.id, 0, width, 0)], width)
        device = engine.model.device
        out = engine.model(input_ids=tokens.to(device), attention_mask=mask.to(device))
    finally:
        if hooks is not None:
            modules = hooks.remove()
    sign()
    return [
        Observation(
            job.id,
            "given",
            [
                ids("prompt-tokens", job.prompt),
                *([] if command["kind"] == "trace" else [nats("vector", _vector(engine, out, row, len(sequence)))]),
                *([digests("modules", modules[job.id])] if modules.get(job.id) else []),
            ],
        )
        for row, (job, sequence) in enumerate(zip(batch, sequences))
        if job.observed
    ]


def _vector(engine: Transformers, out: Any, row: int, length: int) -> list[float]:
    pooling = engine.pooling
    vector = out.logits[row] if pooling is None else pooling.of(out.last_hidden_state[row, :length])
    told: list[float] = vector.float().cpu().tolist()
    return told


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
