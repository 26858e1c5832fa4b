"""A process that has imported the engine, and forks a lifetime of it whenever the host asks for one.

It computes nothing and touches no device, so that each fork finds what a process finds that has imported the engine
itself. That is looked at before each fork, and told: a host that hears why it is not so starts its engines cold. One
fork lives at a time, on this process's own stdin and stdout; when it dies, this process dies alike.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import platform
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from .. import engines
from .errors import HarnessError, cap, describe, explain
from .lifeline import DONE, FAILED, STOPPED, Lifeline, clear, descendants, dies_with
from .scratch import VARIABLE, Scratch
from .threads import left_behind

Live = Callable[[dict[str, Any], Path, Mapping[str, str], bool], None]

_MAX_COMMAND_BYTES = 4096
# What a process has open that has used an AMD or Intel GPU. NVIDIA's driver is asked itself: its files are open where
# NVML only asked, too, as engines do while they are imported (seen on an H200), and a fork may ask again.
_DEVICES = re.compile(r"/dev/(?:kfd|dri/)")
_CUDA_ERROR_NOT_INITIALIZED = 3


def serve(start: dict[str, Any], folder: Path, protocol: int, live: Live) -> NoReturn:
    """@param live one life of the harness: task and nonce, its own folder, the environment before the import"""
    environment = dict(os.environ)
    lifeline = Lifeline(folder)
    watcher = lifeline.watch(start["deadlineSeconds"])
    streams = _Streams(start["nonce"], lifeline)
    try:
        streams.tell("hello", protocol=protocol, pid=os.getpid(), python=platform.python_version())
        began = time.monotonic()
        task = start["task"]
        unfit = _imported(task) or _unfit(watcher)
        scratch = _scratch()
        if scratch is None:
            unfit = unfit or "nobody tells which folder is this run's alone"
        imported = {"imported": _imported_of(sources)} if (sources := start.get("sources")) else {}
        streams.tell("ready", seconds=time.monotonic() - began, unfit=unfit, **imported)
        # Of what is there until now nothing is looked through for garbage: it would be copied into each fork.
        gc.collect()
        gc.freeze()
        while (command := streams.command())["command"] != "end":
            if command["command"] != "fork" or unfit is not None or scratch is None:
                raise HarnessError("protocol-violation", f"`{command['command']}` cannot come here")
            told = {**start, "nonce": command["nonce"], "deadlineSeconds": command["deadlineSeconds"]}
            code = _fork(streams, told, environment, live)
            if code != DONE:
                lifeline.end_alike(code)
            clear(watcher)
            unfit = scratch.restore() or _unfit(watcher)
            streams.tell("ready", seconds=0.0, unfit=unfit, **imported)
    except BaseException as error:
        known = explain(error)
        streams.tell("error", code=known.code, message=known.message)
        lifeline.end(FAILED)
    lifeline.end(DONE)
    raise AssertionError("unreachable")


def _fork(streams: _Streams, start: dict[str, Any], environment: Mapping[str, str], live: Live) -> int:
    """Lives one lifetime in a fork, and gives how it ended."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            dies_with(parent)
            streams.hand_over()
            _forget_randomness()
            live(start, Path(tempfile.mkdtemp(prefix="deterministic-ml-")), environment, True)
        finally:
            os._exit(FAILED)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _imported(task: Mapping[str, Any]) -> str | None:
    """Why nothing was: an error that is the engine's own is told by the start that needs it."""
    engine = engines.find(task["engine"])
    try:
        if engines.preload(engine, task["model"] or ""):
            return None
        return f"{engine.NAME} cannot be imported apart from a load"
    except Exception as error:
        return cap(f"its import failed: {describe(error)}")[:512]


def _imported_of(sources: Sequence[str]) -> list[str]:
    """Those files, and folders of files, that this process has in memory: a fork would not read them again."""
    files = {file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    with contextlib.suppress(OSError):
        files |= {line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    real = {os.path.realpath(file) for file in files if file.startswith("/")}
    return [one for one in sources if any(file == one or file.startswith(f"{one}/") for file in real)]


def _unfit(watcher: int) -> str | None:
    """Why a fork of this process would not be what a new process is."""
    torch = sys.modules.get("torch")
    for name in ("cuda", "xpu"):
        device = getattr(torch, name, None)
        if device is not None and device.is_initialized():
            return f"its import initialised {name.upper()}"
    if _cuda_initialised():
        return "its import initialised CUDA's driver"
    if opened := next((place for place in _open_files() if _DEVICES.match(place)), None):
        return f"its import opened {opened}"
    if others := [pid for pid in descendants(os.getpid()) if pid != watcher]:
        return cap(f"its import left {len(others)} processes behind")
    # Pools of threads that know of forks (OpenBLAS) end before one; what is left then would be missing in a fork.
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    if threads := left_behind():
        return cap(f"its import left {len(threads)} threads behind: {', '.join(threads)}")[:512]
    return None


def _cuda_initialised() -> bool:
    """Whether this process has called cuInit: after it, no fork can use CUDA. Asking does not call it."""
    try:
        driver = ctypes.CDLL("libcuda.so.1", mode=os.RTLD_NOW | os.RTLD_NOLOAD)
    except OSError:
        return False
    return int(driver.cuDeviceGetCount(ctypes.byref(ctypes.c_int()))) != _CUDA_ERROR_NOT_INITIALIZED


def _open_files() -> list[str]:
    found = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{entry}"))
        except OSError:
            continue
    return found


def _scratch() -> Scratch | None:
    folder = os.environ.get(VARIABLE)
    return Scratch(Path(folder)) if folder and Path(folder).is_dir() else None


def _forget_randomness() -> None:
    """A new process begins with a state of its own; forks would share one."""
    random.seed()
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()


class _Streams:
    """The host's streams, while no fork has them. Of one thread: there is no other here."""

    def __init__(self, nonce: str, lifeline: Lifeline) -> None:
        self._nonce = nonce
        self._lifeline = lifeline
        self._seq = 0
        self._in = os.dup(0)
        self._out = os.dup(1)
        sys.stdout.flush()
        os.dup2(2, 1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)

    def tell(self, event: str, **fields: Any) -> None:
        body = {"nonce": self._nonce, "seq": self._seq, "event": event, **fields}
        self._seq += 1
        line = memoryview(b"\n" + json.dumps(body, separators=(",", ":")).encode() + b"\n")
        try:
            while line:
                line = line[os.write(self._out, line) :]
        except OSError:
            self._lifeline.end(STOPPED)

    def command(self) -> dict[str, Any]:
        """Byte by byte: what comes after it is a fork's."""
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self._in, 1)
            if not part:
                self._lifeline.end(STOPPED)
            line += part
            if len(line) > _MAX_COMMAND_BYTES:
                raise HarnessError("protocol-violation", "a command to a process that only forks is too long")
        command = json.loads(line)
        if not isinstance(command, dict) or not isinstance(command.get("command"), str):
            raise HarnessError("protocol-violation", "a command has no name")
        return command

    def hand_over(self) -> None:
        """In a fork: they are where a new process has them."""
        os.dup2(self._in, 0)
        os.dup2(self._out, 1)
        os.close(self._in)
        os.close(self._out)
