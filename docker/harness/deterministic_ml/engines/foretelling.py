"""The calls of all probes before a model is loaded: what they give foretells what other kernels make of the model.

They are made in a fork of the process that has imported the engine, so that nothing of them is left where the model is
measured: no device that is initialised, no pool of threads, no memory. Nor does PyTorch have to be imported again.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from typing import Any, NoReturn

from ..harness.errors import describe
from ..harness.lifeline import dies_with

# Of all calls together: what takes longer is given up.
_LIMIT_SECONDS = 60.0
_MAX_WHY = 512


def foretell(limit: float = _LIMIT_SECONDS) -> dict[str, Any]:
    """`CalledProbes` of the protocol. Whatever goes wrong with it is told, and is no error of the engine's."""
    began = time.monotonic()
    parent = os.getpid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(writing, parent)
    os.close(writing)
    try:
        told = _heard(reading, began + limit)
    finally:
        os.close(reading)
        # Whoever has answered is about to end; whoever has not is given up.
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return {"seconds": time.monotonic() - began, **told}


def _answer(writing: int, parent: int) -> NoReturn:
    try:
        dies_with(parent)
        from .kernels.calls import every_call

        told = {"calls": every_call(), "unavailable": None}
    except BaseException as error:
        told = _without(describe(error))
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps(told).encode())
    finally:
        os._exit(0)


def _heard(reading: int, until: float) -> dict[str, Any]:
    data = b""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        if not poll.poll(left * 1000):
            break
        part = os.read(reading, 1 << 16)
        if not part:
            return _parsed(data)
        data += part
    return _without("the probes were not done in time")


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(data)
        return told
    except ValueError:
        return _without("the process of the probes died")


def _without(why: str) -> dict[str, Any]:
    return {"calls": {}, "unavailable": why[:_MAX_WHY] or "unknown"}
