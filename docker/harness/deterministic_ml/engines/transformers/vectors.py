"""Embedding and reward models: a vector for each text, from one forward pass of its own tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...harness.channel import Command
from ..common.hooks import Hooks, Rows
from ..observation import Digest, Observation, digests, ids, nats
from .loaded import Job, LoadedModel
from .witness import Watch


def give_vectors(
    loaded: LoadedModel, batch: Sequence[Job], command: Command, watch: Watch, sign: Callable[[], None]
) -> list[Observation]:
    sequences = [list(job.prompt)[: min(job.limit or loaded.length, loaded.length)] for job in batch]
    seen = [watch.take_up(job.id, len(batch)) for job in batch]
    width = max(map(len, sequences))
    tokens = torch.full((len(batch), width), loaded.filling, dtype=torch.long)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        tokens[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
        watch.prefilled += len(sequence)
        seen[row].chunks.append(len(sequence))
    watch.padding += int((mask == 0).sum())
    watch.steps += 1
    alone = batch[0] if len(batch) == 1 and batch[0].observed and command["trace"] else None
    hooks = None if alone is None else Hooks(loaded.model)
    modules: dict[str, list[Digest]] = {}
    try:
        if hooks is not None and alone is not None:
            hooks.expect(alone.id, width)
            hooks.step([Rows(alone.id, 0, width, 0)], width)
        device = loaded.model.device
        out = loaded.model(input_ids=tokens.to(device), attention_mask=mask.to(device))
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
                *([] if command["kind"] == "trace" else [nats("vector", _vector(loaded, out, row, len(sequence)))]),
                *([digests("modules", modules[job.id])] if modules.get(job.id) else []),
            ],
        )
        for row, (job, sequence) in enumerate(zip(batch, sequences))
        if job.observed
    ]


def _vector(loaded: LoadedModel, out: Any, row: int, length: int) -> list[float]:
    pooling = loaded.pooling
    vector = out.logits[row] if pooling is None else pooling.of(out.last_hidden_state[row, :length])
    told: list[float] = vector.float().cpu().tolist()
    return told
