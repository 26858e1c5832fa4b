"""What a program gives while it runs, by name: for a record of its own, and for the engine `script`."""

from __future__ import annotations

import numbers
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from .channels import NUMBERS, TENSORS, TEXT, Channel, Digest, channels_of, number_digest, tensor_digest

# As the protocol and a record name a channel; `record` takes them as names of results too.
_NAME = re.compile(r"[a-z](?:[a-z0-9_-]{0,62}[a-z0-9])?")
# Channels that mean something of their own to who compares (src/compare/channels.ts).
_RESERVED = ("prompt-tokens", "tokens", "text-digest", "logprobs", "top-k", "modules", "tensors")
_MAX_CHANNELS = 64
# Of names, digests and texts together; tensors count by their digests alone.
_MAX_BYTES = 16 * 1024 * 1024


class Emit(Protocol):
    """What a function of a suite's script is given beside its prompt: `emit("loss", loss)`."""

    def __call__(self, name: str, value: Any, /) -> None: ...


class Emitter:
    """Keeps what is emitted: digests of tensors and numbers, and texts whole. A name once.

    Call it as `emit(name, value)`. A value is a text, a number, a tensor (PyTorch's, NumPy's, or what NumPy makes
    arrays of), or a list or a mapping of numbers and tensors. A name is at most 64 small letters, digits, `_` and `-`,
    and begins with a letter. The bits are those of the moment: what is done to a tensor afterwards changes nothing.

    :raises ValueError: for a name that cannot be one or was given before, for a value that holds nothing, for too much
    :raises TypeError: for a value of another kind
    """

    def __init__(self, heard: Callable[[], None] | None = None) -> None:
        """:param heard: called after each value: who waits may know that the program goes on"""
        self._heard = heard
        self._channels: dict[str, Channel] = {}
        self._bytes = 0
        self._closed = False
        # The first thing that was wrong: a program that catches everything must not hide it.
        self._fault: Exception | None = None

    def __call__(self, name: str, value: Any, /) -> None:
        try:
            if self._closed:
                raise ValueError(f"`{name}` was emitted after the function had returned")
            _refuse_name(name)
            channel = channel_of(name, value)
            if name == TEXT and channel.text is None:
                raise ValueError(f"`{name}` is the name of a text")
            if name in self._channels:
                raise ValueError(f"`{name}` was emitted twice")
            self._count(channel)
            self._channels[name] = channel
        except Exception as error:
            self._fault = self._fault or error
            raise
        if self._heard is not None:
            self._heard()

    @property
    def fault(self) -> Exception | None:
        """The first thing that was wrong with what was emitted."""
        return self._fault

    def close(self) -> Mapping[str, Channel]:
        """What was emitted, by name, in that order. Nothing can be emitted any more."""
        self._closed = True
        return dict(self._channels)

    def _count(self, channel: Channel) -> None:
        if len(self._channels) == _MAX_CHANNELS:
            raise ValueError(
                f"more than {_MAX_CHANNELS} names were emitted: tensors of a kind can share one, in a mapping"
            )
        self._bytes += len(channel.body())
        if self._bytes > _MAX_BYTES:
            raise ValueError(f"the digests and texts that were emitted are larger than {_MAX_BYTES >> 20} MiB together")


def channel_of(name: str, value: Any) -> Channel:
    """@raises TypeError for what is no text, number, tensor, or list or mapping of these two
    @raises ValueError for a text that UTF-8 cannot hold, and for a list or mapping without entries"""
    if isinstance(value, str):
        return channels_of(None, None, {name: value})[name]
    if isinstance(value, (Mapping, list, tuple)):
        digests = list(_entries(name, value))
        if not digests:
            raise ValueError(f"`{name}` holds nothing")
        return Channel(NUMBERS if all(_is_number(one) for one in _values(value)) else TENSORS, digests)
    return Channel(NUMBERS if _is_number(value) else TENSORS, [_digest(name, value)])


def _entries(name: str, value: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterator[Digest]:
    if not isinstance(value, Mapping):
        for at, one in enumerate(value):
            yield _digest(f"{name}[{at}]", one)
        return
    for key, one in value.items():
        if not isinstance(key, str):
            raise TypeError(f"`{name}` has the key {key!r}, which is no text")
        digest = _digest(f"{name}[{key}]", one)
        yield replace(digest, name=f"{key}: {digest.name}"[:512])


def _values(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterator[Any]:
    yield from value.values() if isinstance(value, Mapping) else value


def _digest(name: str, value: Any) -> Digest:
    if _is_number(value):
        return number_digest(name, value)
    if not _is_tensor(value):
        raise TypeError(
            f"`{name}` is of type {type(value).__name__}: "
            "emit a text, a number, a tensor, or a list or mapping of the last two"
        )
    return tensor_digest(name, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real)


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return (torch is not None and isinstance(value, torch.Tensor)) or hasattr(value, "__array__")


def _refuse_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"nothing can be emitted as {name!r:.100}: a name is at most 64 small letters, digits, `_` and `-`, "
            "the first a letter, the last a letter or a digit"
        )
    if name in _RESERVED:
        raise ValueError(f"`{name}` is a name of this project's own: choose another")
