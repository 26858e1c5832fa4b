"""Digests of what a model's modules give, by rows: of each request, in the order of its tokens.

How a prefill is cut into chunks, what else is in a step and how a step is padded change no digest: the rows of one
request go one after another into hashers that live as long as the request. What decides which rows of a tensor are
whose:

- While the model runs, a tensor belongs to the step's tokens if its first dimension is as long as the step, bare or
  padded (a leading dimension of one aside).
- After it (the head of a language model, over some of the positions), what a module was given must lie inside of what
  the model gave: the rows are known from where. The position after the last known token has no target and is left
  out, since it depends on the engine whether its logits are there.
- A tensor of which not every row of a request was seen is left out: tensors that are not by token, rows of which a
  part came from a cache. So a module is either told whole or not at all, and never under another cut.
- Of a module that runs more than once in a step (layers share their rotary embedding) the first run counts.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from ..observation import Channel, Digest
from .roles import Sketch, parts_of, told

_THREADS = min(8, os.cpu_count() or 1)
# Of outputs on the host: hashed at once, and waiting to be hashed.
_BATCH_BYTES = 32 * 1024 * 1024
_WAITING_BYTES = 512 * 1024 * 1024
# Not even a batch of empty tensors.
_NOTHING = -1


@dataclass(frozen=True)
class Rows:
    """Rows `begin` to `end` of a step are one request's, from its token `first` on."""

    request: str
    begin: int
    end: int
    first: int


class Hooks:
    """Listens to every named module of a model, the model itself among them, until removed."""

    def __init__(self, model: torch.nn.Module, digested: bool = True, roles: bool = False) -> None:
        """What modules give is digested, or sketched by their roles, or both."""
        # Request -> how many of its tokens are looked at.
        self._asked: dict[str, int] = {}
        self._digested = digested
        self._parts = parts_of(model) if roles else {}
        # Request -> module -> a sketch for each of its parts.
        self._sketches: dict[str, dict[str, list[Sketch]]] = {}
        # Request -> module -> its tensors by their place in its output. In the order in which outputs were ready:
        # children before their parents.
        self._streams: dict[str, dict[str, dict[int, _Stream]]] = {}
        self._rows: list[Rows] = []
        self._lengths: set[int] = set()
        # What the model gave in this step, once it has run.
        self._given: list[torch.Tensor] | None = None
        self._hashing = _Hashing()
        self._handles = [
            model.register_forward_pre_hook(self._begin, with_kwargs=True),
            *(
                module.register_forward_hook(partial(self._note, name or type(module).__name__))
                for name, module in model.named_modules()
            ),
            # After the model's own hook above.
            model.register_forward_hook(self._end),
        ]

    def expect(self, request: str, tokens: int) -> None:
        """Digests this request's first `tokens` tokens; others run beside it unseen."""
        self._asked[request] = tokens
        self._streams[request] = {}
        self._sketches[request] = {
            module: [Sketch(part, tokens) for part in parts] for module, parts in self._parts.items()
        }

    def step(self, rows: Sequence[Rows], length: int) -> None:
        """Before the model runs: whose its next step's rows are, of `length` in all; none of nobody's."""
        self._rows = [mine for mine in rows if mine.request in self._asked]
        self._lengths = {length}
        self._given = None

    def remove(self) -> dict[str, list[Digest]]:
        """For each expected request its modules that gave a tensor by token."""
        for handle in self._handles:
            handle.remove()
        self._given = None
        self._hashing.finish()
        digests = {}
        for request, modules in self._streams.items():
            whole = (
                (name, [stream for stream in streams.values() if stream.rows == stream.limit])
                for name, streams in modules.items()
            )
            digests[request] = [_digest(name, streams) for name, streams in whole if streams]
        return digests

    def roles(self) -> dict[str, Channel]:
        """Once removed: for each expected request a sketch of each role."""
        channels = {}
        for request, modules in self._sketches.items():
            channel = told([sketch for sketches in modules.values() for sketch in sketches])
            if channel is not None:
                channels[request] = channel
        return channels

    def _begin(self, _module: torch.nn.Module, _inputs: Any, named: Mapping[str, Any]) -> None:
        # Kernels may want a step to be padded; the last dimension of positions is always the step's.
        if isinstance(positions := named.get("positions"), torch.Tensor) and positions.dim() > 0:
            self._lengths.add(positions.shape[-1])

    def _end(self, _module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        if self._rows:
            self._given = list(_tensors(output))

    def _note(self, name: str, _module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if not self._rows:
            return
        offset, lengths, spare = 0, self._lengths, 0
        if self._given is not None:
            place = self._place(inputs)
            if place is None:
                return
            offset, lengths, spare = place.start, {len(place)}, 1
        if self._digested:
            for index, tensor in enumerate(_tensors(output)):
                for mine, rows, dimension, first in self._mine(tensor, lengths, offset):
                    stream = self._stream(mine.request, name, index, self._asked[mine.request] - spare)
                    self._take(stream, rows, dimension, first)
        for at, part in enumerate(self._parts.get(name, ())):
            # Of a norm that adds up, and of a projection that has a bias apart, the first is what goes on.
            given = next(_tensors(inputs if part.of_input else output), None)
            if given is not None and given.is_floating_point():
                for mine, rows, dimension, first in self._mine(given, lengths, offset):
                    self._take(self._sketches[mine.request][name][at], rows, dimension, first)

    def _mine(
        self, tensor: torch.Tensor, lengths: set[int], offset: int
    ) -> Iterator[tuple[Rows, torch.Tensor, int, int]]:
        """Of each request its rows of a tensor, the dimension that counts them, and its token that is the first."""
        dimension = _dimension(tensor, lengths)
        if dimension is None:
            return
        size = tensor.shape[dimension]
        for mine in self._rows:
            begin, end = max(mine.begin - offset, 0), min(mine.end - offset, size)
            if begin < end:
                first = mine.first + begin + offset - mine.begin
                yield mine, tensor.narrow(dimension, begin, end - begin), dimension, first

    def _place(self, inputs: Any) -> range | None:
        """Which of the step's rows a module was given after the model ran: those of a view of what the model gave."""
        for given in self._given or ():
            for tensor in _tensors(inputs):
                if place := _inside(tensor, given):
                    return place
        return None

    def _stream(self, request: str, name: str, index: int, limit: int) -> _Stream:
        streams = self._streams[request].setdefault(name, {})
        if index not in streams:
            streams[index] = _Stream(limit)
        return streams[index]

    def _take(self, stream: _Stream | Sketch, rows: torch.Tensor, dimension: int, first: int) -> None:
        """The rows from the request's token `first` on, without those that are there already."""
        seen = stream.rows - first
        wanted = min(rows.shape[dimension], stream.limit - first)
        # Less than nothing seen is a gap: this stream will never be whole.
        if 0 <= seen < wanted:
            rows = rows.narrow(dimension, seen, wanted - seen).detach()
            stream.rows += wanted - seen
            if isinstance(stream, _Stream):
                stream.count_nans(rows)
            # By token: a batch of one goes before them.
            self._hashing.add(stream, rows[0] if dimension == 1 else rows, first + seen)


@dataclass
class _Stream:
    """One tensor of one module's output, for one request."""

    # Rows that make it whole.
    limit: int
    rows: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)
    # On the device: asking for it would wait for the device.
    nans: torch.Tensor | None = None

    def take(self, rows: torch.Tensor, _first: int) -> None:
        self.sha256.update(rows.flatten().view(torch.uint8).numpy())

    def count_nans(self, rows: torch.Tensor) -> None:
        if rows.is_floating_point():
            # Eight-bit formats cannot be asked themselves.
            asked = rows.float() if rows.element_size() == 1 else rows
            # One NaN makes the sum one: thirty times as fast on a CPU, where a look at the answer costs nothing.
            if rows.is_cpu and not asked.sum().isnan():
                return
            count = asked.isnan().sum()
            self.nans = count if self.nans is None else self.nans + count


@dataclass
class _Hasher:
    """One thread, so that what a stream is given is taken in order."""

    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "digests"))
    # Rows that it is to take next, and the token that is their first.
    parts: list[tuple[_Stream | Sketch, torch.Tensor, int]] = field(default_factory=list)
    # Of all that it was ever given.
    bytes: int = 0

    def begin(self) -> Future[None]:
        parts, self.parts = self.parts, []
        return self.pool.submit(_take, parts)


def _take(parts: Sequence[tuple[_Stream | Sketch, torch.Tensor, int]]) -> None:
    for stream, rows, first in parts:
        stream.take(rows, first)


class _Hashing:
    """Hashes in threads what was copied to the host, batch by batch.

    While a GPU computes, the model goes on meanwhile. On a CPU it waits: each kernel deals itself out to all cores and
    waits for the slowest, so that threads beside it cost more than they do (1.05 s of CPU, 0.75 by turns, measured).
    """

    def __init__(self) -> None:
        self._hashers = [_Hasher() for _ in range(_THREADS)]
        self._hasher_of: dict[int, _Hasher] = {}
        self._gathered = 0
        self._waiting: deque[tuple[list[Future[None]], int]] = deque()
        self._bytes = 0

    def add(self, stream: _Stream | Sketch, rows: torch.Tensor, first: int) -> None:
        # A copy even on the CPU: later modules write into what earlier ones gave.
        host = torch.empty(rows.shape, dtype=rows.dtype).copy_(rows)
        size = host.numel() * host.element_size()
        hasher = self._hasher_of.get(id(stream))
        if hasher is None:
            hasher = self._hasher_of[id(stream)] = min(self._hashers, key=lambda one: one.bytes)
        hasher.parts.append((stream, host, first))
        hasher.bytes += size
        self._gathered += size
        if self._gathered >= _BATCH_BYTES:
            self._begin()
            self._await(_NOTHING if rows.is_cpu else _WAITING_BYTES)

    def finish(self) -> None:
        self._begin()
        self._await(_NOTHING)
        for hasher in self._hashers:
            hasher.pool.shutdown()

    def _begin(self) -> None:
        self._waiting.append(([hasher.begin() for hasher in self._hashers if hasher.parts], self._gathered))
        self._bytes += self._gathered
        self._gathered = 0

    def _await(self, most: int) -> None:
        """Until no more than so many bytes wait to be hashed."""
        while self._waiting and self._bytes > most:
            futures, size = self._waiting.popleft()
            for future in futures:
                future.result()
            self._bytes -= size


def _digest(name: str, streams: list[_Stream]) -> Digest:
    """Of several tensors: the digest of their digests, since each has its rows one after another."""
    digests = [stream.sha256.digest() for stream in streams]
    sha256 = digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()
    nans = sum(int(stream.nans) for stream in streams if stream.nans is not None)
    return {"name": name, "sha256": sha256.hex(), "nans": nans}


def _dimension(tensor: torch.Tensor, lengths: set[int]) -> int | None:
    """The dimension that counts tokens: the first, or the second after a batch of one."""
    if tensor.dim() > 1 and tensor.shape[0] == 1 and tensor.shape[1] > 1 and tensor.shape[1] in lengths:
        return 1
    return 0 if tensor.dim() > 0 and tensor.shape[0] in lengths else None


def _inside(part: torch.Tensor, whole: torch.Tensor) -> range | None:
    """Rows of `whole` that `part` is a view of."""
    if part.dim() != whole.dim() or part.dim() < 2 or part.shape[1:] != whole.shape[1:] or part.dtype != whole.dtype:
        return None
    row = whole.stride(0) * whole.element_size()
    begin, beside = divmod(part.data_ptr() - whole.data_ptr(), row or 1)
    apart = part.untyped_storage().data_ptr() != whole.untyped_storage().data_ptr()
    if apart or part.stride() != whole.stride() or beside or begin < 0 or begin + len(part) > len(whole):
        return None
    return range(begin, begin + len(part))


def _tensors(output: Any) -> Iterator[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, (list, tuple)):
        for value in output:
            yield from _tensors(value)
    elif isinstance(tensors := getattr(output, "tensors", None), Mapping):
        # What some engines pass between the stages of a pipeline: a name and a tensor each.
        yield from _tensors(tensors)
