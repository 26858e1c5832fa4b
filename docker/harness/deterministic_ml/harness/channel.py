"""The two streams of the protocol, kept out of the reach of whatever else runs in this process."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from .errors import HarnessError

# Of one command: 32 k tokens for each of a few thousand prompts are far below it.
MAX_COMMAND_BYTES = 64 * 1024 * 1024

Command = dict[str, Any]


class Channel:
    """Events to the host and commands from it.

    The real stdin and stdout move to descriptors that no child inherits (PEP 446; forks close them), and
    descriptors 0 and 1 become the null device and stderr. So nothing that a library prints, from Python, from C
    or from a child, can stand among the events, and no child can eat a command.
    """

    def __init__(self, nonce: str, hung_up: Callable[[], None]) -> None:
        self._nonce = nonce
        self._hung_up = hung_up
        self._seq = 0
        self._lock = threading.Lock()
        self._commands: queue.SimpleQueue[Command | HarnessError] = queue.SimpleQueue()
        self._out = os.dup(1)
        self._in = os.dup(0)
        sys.stdout.flush()
        os.dup2(2, 1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.register_at_fork(after_in_child=self._leave)
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def emit(self, event: str, **fields: Any) -> None:
        with self._lock:
            body = {"nonce": self._nonce, "seq": self._seq, "event": event, **fields}
            # The break before it ends what was printed before this channel stood, or by a child that began earlier.
            line = b"\n" + json.dumps(body, separators=(",", ":"), allow_nan=False).encode() + b"\n"
            self._seq += 1
            try:
                _write(self._out, line)
            except OSError:
                self._hung_up()

    def emit_last(self, event: str, **fields: Any) -> None:
        """From a thread that must not wait: another may hang in `emit`, since the host stopped reading."""
        if self._lock.acquire(timeout=2):
            self._lock.release()
            self.emit(event, **fields)

    def next_command(self) -> Command:
        command = self._commands.get()
        if isinstance(command, HarnessError):
            raise command
        return command

    def progress(self, what: str, total: int) -> Progress:
        return Progress(self, what, total)

    def _leave(self) -> None:
        """In a forked child."""
        os.close(self._out)
        os.close(self._in)

    def _read(self) -> None:
        """Reads ahead, so that the end of stdin is noticed while the engine computes."""
        buffered = b""
        while part := _read(self._in):
            buffered += part
            while b"\n" in buffered:
                line, _, buffered = buffered.partition(b"\n")
                command = _parse(line)
                self._commands.put(command)
                if isinstance(command, dict) and command["command"] == "end":
                    # The host may hang up now: nothing more is to be said.
                    return
            if len(buffered) > MAX_COMMAND_BYTES:
                self._commands.put(HarnessError("protocol-violation", "a command is longer than 64 MiB"))
                return
        self._hung_up()


class Progress:
    """Reports at most four times a second, from any thread."""

    _INTERVAL = 0.25

    def __init__(self, channel: Channel, what: str, total: int) -> None:
        self._channel = channel
        self._what = what
        self._total = total
        self._done = 0
        self._lock = threading.Lock()
        self._due = 0.0

    def add(self, units: int) -> None:
        with self._lock:
            self._done += units
            self._report(0)

    def set(self, done: int, tokens: int = 0) -> None:
        with self._lock:
            self._done = done
            self._report(tokens)

    def _report(self, tokens: int) -> None:
        now = time.monotonic()
        if now >= self._due or self._done >= self._total > 0:
            self._due = now + self._INTERVAL
            done = min(self._done, self._total)
            self._channel.emit("progress", what=self._what, done=done, total=self._total, tokens=tokens)


def _parse(line: bytes) -> Command | HarnessError:
    try:
        command = json.loads(line)
    except ValueError as error:
        return HarnessError("protocol-violation", f"a command is not JSON: {error}")
    if not isinstance(command, dict) or not isinstance(command.get("command"), str):
        return HarnessError("protocol-violation", "a command has no name")
    return command


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 20)
    except OSError:
        return b""


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
