"""Chooses the next token of one request. A generator of its own: who else is in the batch draws from another."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ...harness.errors import HarnessError
from .loaded import Job, LoadedModel


class Sampler:
    def __init__(self, loaded: LoadedModel, job: Job, forced: bool) -> None:
        self._tokenizer = loaded.tokenizer
        self._sampling = sampling = job.sampling
        self._prompt = torch.tensor(job.prompt)
        self._forced = list(job.given) if forced else None
        if forced and not job.given:
            raise HarnessError("protocol-violation", f"prompt {job.id}: there are no tokens to force")
        limit = len(job.given) if forced else int(sampling["max_tokens"])
        self._limit = min(limit, loaded.length - len(job.prompt))
        if self._limit < 1:
            raise HarnessError(
                "engine-rejected", f"prompt {job.id}: {len(job.prompt)} tokens leave no room in {loaded.length}"
            )
        self._ends = set() if sampling["ignore_eos"] else _end_tokens(loaded)
        self._stops = {*self._ends, *sampling["stop_token_ids"]}
        # On the CPU, whatever the model runs on: the same draws everywhere.
        self._generator = torch.Generator().manual_seed(int(sampling["seed"] or 0))
        self.tokens: list[int] = []
        self.text = ""
        # Why it ended; undefined as long as it has not.
        self.reason: str | None = None

    def next(self, logits: torch.Tensor) -> int:
        """@param logits float32 of the whole vocabulary, on the CPU"""
        token = self._forced[len(self.tokens)] if self._forced is not None else self._choose(logits)
        self.tokens.append(token)
        if self._forced is None:
            self._look_for_an_end(token)
        if self.reason is None and len(self.tokens) >= self._limit:
            self.reason = "length"
        return token

    def _choose(self, logits: torch.Tensor) -> int:
        sampling = self._sampling
        logits = self._penalised(logits.clone())
        if len(self.tokens) < sampling["min_tokens"]:
            logits[list(self._stops)] = -torch.inf
        if sampling["temperature"] == 0:
            # Of several equal ones the first, on every device.
            return int((logits == logits.max()).nonzero()[0]) if not logits.isnan().any() else int(logits.argmax())
        probabilities = _filtered(logits / sampling["temperature"], sampling).softmax(-1)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))

    def _penalised(self, logits: torch.Tensor) -> torch.Tensor:
        sampling = self._sampling
        made = torch.tensor(self.tokens, dtype=torch.long)
        if (repetition := sampling["repetition_penalty"]) != 1:
            seen = torch.cat([self._prompt, made]).unique()
            values = logits[seen]
            logits[seen] = torch.where(values > 0, values / repetition, values * repetition)
        if made.numel() > 0:
            counts = torch.bincount(made, minlength=logits.shape[0]).to(logits.dtype)
            logits -= sampling["frequency_penalty"] * counts
            logits -= sampling["presence_penalty"] * (counts > 0)
        return logits

    def _look_for_an_end(self, token: int) -> None:
        self.text = self._tokenizer.decode(self.tokens, skip_special_tokens=True)
        if len(self.tokens) < self._sampling["min_tokens"]:
            return
        if token in self._stops:
            self.reason = "stop"
            return
        places = [place for stop in self._sampling["stop"] if (place := self.text.find(stop)) >= 0]
        if places:
            self.text = self.text[: min(places)]
            self.reason = "stop"


def _filtered(logits: torch.Tensor, sampling: Mapping[str, float]) -> torch.Tensor:
    """What `min_p`, `top_k` and `top_p` leave; the best token always stays."""
    if sampling["min_p"] > 0:
        probabilities = logits.softmax(-1)
        logits = logits.masked_fill(probabilities < sampling["min_p"] * probabilities.max(), -torch.inf)
    if 0 < sampling["top_k"] < logits.shape[0]:
        least = logits.topk(int(sampling["top_k"])).values[-1]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if sampling["top_p"] < 1:
        ordered, order = logits.sort(descending=True, stable=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        logits = logits.index_fill(0, order[before >= sampling["top_p"]], -torch.inf)
    return logits


def told(row: torch.Tensor, token: int, top_k: int) -> dict[int, float]:
    """The best log-probabilities of a step, and the chosen one's. Of several equal ones at the end all are told."""
    best = row.topk(top_k)
    least = best.values[-1]
    found = best.indices if least.isnan() else (row >= least).nonzero().flatten()[: 16 * top_k]
    ids = {*found.tolist(), *best.indices.tolist(), token}
    return {one: float(row[one]) for one in sorted(ids)}


def _end_tokens(loaded: LoadedModel) -> set[int]:
    ends = loaded.model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    return {int(one) for one in [*listed, loaded.tokenizer.eos_token_id] if one is not None}
