"""The kinds of passes. Requests of a group run together, up to `max_batch_size` of them in one forward pass.

Prompts of several lengths are filled up on the left to decode, and on the right to be scored, where nothing follows;
what fills them is masked, and how much of it there was is in the witness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from ...harness.channel import Command, Progress
from ..common.hooks import Hooks, Rows
from ..common.noise import rounded_again
from ..observation import Channel, Digest, Observation, Pass, decoded, digests, ids
from .loaded import Job, LoadedModel
from .sampler import Sampler, told
from .vectors import give_vectors
from .witness import Seen, Watch

# Positions whose log-probabilities over the whole vocabulary are in memory at a time.
_POSITIONS = 128


@dataclass
class _Step:
    """What came out at each step of one request."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[Mapping[int, float]] = field(default_factory=list)

    def add(self, token: int, row: torch.Tensor, top_k: int) -> None:
        """`row` holds the model's own log-probabilities, before any sampling parameter."""
        self.tokens.append(token)
        self.logprobs.append(float(row[token]))
        self.top.append(told(row, token, top_k))


def run_pass(loaded: LoadedModel, command: Command, progress: Progress) -> Pass:
    jobs = {request["id"]: loaded.job(request, command["clock"]) for request in command["requests"]}
    watch = Watch(loaded.process)
    observations: list[Observation] = []
    compute = _COMPUTE[command["kind"]] if loaded.args.task == "generate" else give_vectors
    finished = 0
    with torch.inference_mode(), rounded_again(loaded.model, command.get("noise")):
        for group in command["groups"]:
            for batch in _batches([jobs[name] for name in group], loaded.batch_size):
                sign = partial(_sign, progress, finished, watch)
                observations.extend(compute(loaded, batch, command, watch, sign))
                finished += len(batch)
                progress.set(finished, watch.generated)
    first = next((job for job in jobs.values() if job.observed), None)
    sampling = dict(first.sampling) if first is not None and command["kind"] == "generate" else {}
    return Pass(watch.told(), sampling, observations)


def _sign(progress: Progress, finished: int, watch: Watch) -> None:
    progress.set(finished, watch.generated)


def _batches(jobs: Sequence[Job], size: int) -> Iterator[Sequence[Job]]:
    for begin in range(0, len(jobs), size):
        yield jobs[begin : begin + size]


def _decode(
    loaded: LoadedModel, batch: Sequence[Job], command: Command, watch: Watch, sign: Callable[[], None]
) -> list[Observation]:
    """Generates freely, or decodes given tokens one by one through the same path."""
    forced = command["kind"] == "force"
    samplers = [Sampler(loaded, job, forced and job.observed) for job in batch]
    seen = [watch.take_up(job.id, len(batch)) for job in batch]
    steps = [_Step() for _ in batch]
    width = max(len(job.prompt) for job in batch)
    device = loaded.model.device
    tokens = torch.zeros((len(batch), width), dtype=torch.long)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for row, job in enumerate(batch):
        tokens[row, width - len(job.prompt) :] = torch.tensor(job.prompt)
        mask[row, width - len(job.prompt) :] = 1
        watch.prefilled += len(job.prompt)
    watch.padding += int((mask == 0).sum())
    tokens, mask = tokens.to(device), mask.to(device)
    logits, cache = _prefill(loaded, tokens, mask, watch, seen)
    while True:
        rows = logits.float().log_softmax(-1).cpu()
        chosen = torch.zeros((len(batch), 1), dtype=torch.long)
        for row, sampler in enumerate(samplers):
            if sampler.reason is None:
                token = sampler.next(logits[row].float().cpu())
                steps[row].add(token, rows[row], command["topK"])
                watch.generated += 1
                chosen[row, 0] = token
        sign()
        running = [row for row, sampler in enumerate(samplers) if sampler.reason is None]
        if not running:
            break
        # A request that has ended stays in the batch, as padding, until the last one has.
        for row in running:
            seen[row].decode_steps += 1
        watch.padding += len(batch) - len(running)
        mask = torch.cat([mask, mask.new_ones((len(batch), 1))], dim=1)
        watch.steps += 1
        out = loaded.model(
            input_ids=chosen.to(device),
            attention_mask=mask,
            position_ids=mask.sum(1, keepdim=True) - 1,
            past_key_values=cache,
            use_cache=True,
        )
        logits, cache = out.logits[:, -1], out.past_key_values
    return [
        Observation(
            job.id,
            "given" if forced else str(sampler.reason),
            decoded(
                prompt_tokens=job.prompt,
                tokens=step.tokens,
                logprobs=step.logprobs,
                top=step.top,
                top_k=command["topK"],
                text=None if forced else sampler.text,
            ),
        )
        for job, sampler, step in zip(batch, samplers, steps)
        if job.observed
    ]


def _prefill(
    loaded: LoadedModel, tokens: torch.Tensor, mask: torch.Tensor, watch: Watch, seen: Sequence[Seen]
) -> tuple[torch.Tensor, Any]:
    """Logits behind the last token of each prompt, and the keys and values of all."""
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    width = tokens.shape[1]
    # Pieces of a prompt beside others of other lengths would be other pieces for each.
    size = (loaded.args.prefill_chunk_size or width) if len(seen) == 1 else width
    cache: Any = None
    logits: Any = None
    for begin in range(0, width, size):
        end = min(begin + size, width)
        watch.steps += 1
        out = loaded.model(
            input_ids=tokens[:, begin:end],
            attention_mask=mask[:, :end],
            position_ids=positions[:, begin:end],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits, cache = out.logits[:, -1], out.past_key_values
        for row, one in enumerate(seen):
            one.chunks.append(int(mask[row, begin:end].sum()))
    return logits, cache


def _score(
    loaded: LoadedModel, batch: Sequence[Job], command: Command, watch: Watch, sign: Callable[[], None]
) -> list[Observation]:
    """Prefills whole sequences, and tells the log-probabilities of every position but the first."""
    sequences = [[*job.prompt, *job.given][: min(job.limit or loaded.length, loaded.length)] for job in batch]
    seen = [watch.take_up(job.id, len(batch)) for job in batch]
    roles = command.get("roles", False)
    hooks = Hooks(loaded.model, command["trace"], roles) if command["trace"] or roles else None
    modules: dict[str, list[Digest]] = {}
    by_role: dict[str, Channel] = {}
    try:
        logits = _logits(loaded, batch, sequences, watch, seen, hooks)
    finally:
        if hooks is not None:
            modules, by_role = hooks.remove(), hooks.roles()
    sign()
    return [
        Observation(
            job.id,
            "given",
            [
                *_channels(command, job, sequences[row], logits[row]),
                *([digests("modules", modules[job.id])] if modules.get(job.id) else []),
                *([by_role[job.id]] if job.id in by_role else []),
            ],
        )
        for row, job in enumerate(batch)
        if job.observed
    ]


def _channels(command: Command, job: Job, sequence: Sequence[int], logits: torch.Tensor) -> list[Channel]:
    if command["kind"] == "trace":
        return [ids("prompt-tokens", job.prompt)]
    step = _Step()
    for begin in range(0, len(sequence) - 1, _POSITIONS):
        end = min(begin + _POSITIONS, len(sequence) - 1)
        rows = logits[begin:end].float().log_softmax(-1).cpu()
        for at, row in enumerate(rows):
            step.add(sequence[begin + at + 1], row, command["topK"])
    return decoded(
        prompt_tokens=job.prompt, tokens=step.tokens, logprobs=step.logprobs, top=step.top, top_k=command["topK"]
    )


def _logits(
    loaded: LoadedModel,
    batch: Sequence[Job],
    sequences: Sequence[Sequence[int]],
    watch: Watch,
    seen: Sequence[Seen],
    hooks: Hooks | None,
) -> list[torch.Tensor]:
    """For each request the logits of all its positions."""
    width = max(map(len, sequences))
    tokens = torch.zeros((len(batch), width), dtype=torch.long)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        tokens[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
        watch.prefilled += len(sequence)
        # Rows of several requests lie in one tensor only where each runs alone.
        if hooks is not None and len(batch) == 1 and batch[row].observed:
            hooks.expect(batch[row].id, len(sequence))
    watch.padding += int((mask == 0).sum())
    tokens, mask = tokens.to(loaded.model.device), mask.to(loaded.model.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    size = (loaded.args.prefill_chunk_size or width) if len(batch) == 1 else width
    cache: Any = None
    parts: list[torch.Tensor] = []
    for begin in range(0, width, size):
        end = min(begin + size, width)
        if hooks is not None:
            hooks.step([Rows(batch[0].id, 0, end - begin, begin)] if len(batch) == 1 else [], end - begin)
        watch.steps += 1
        out = loaded.model(
            input_ids=tokens[:, begin:end],
            attention_mask=mask[:, :end],
            position_ids=positions[:, begin:end],
            past_key_values=cache,
            use_cache=size < width,
        )
        parts.append(out.logits)
        cache = out.past_key_values if size < width else None
        for row, one in enumerate(seen):
            if filled := int(mask[row, begin:end].sum()):
                one.chunks.append(filled)
    whole = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
    return [whole[row, : len(sequence)] for row, sequence in enumerate(sequences)]


_COMPUTE = {"generate": _decode, "force": _decode, "score": _score, "trace": _score}
