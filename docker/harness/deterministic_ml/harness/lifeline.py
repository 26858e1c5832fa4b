"""Nothing outlives the host's interest: how this process ends, and everything that it started with it.

Linux only, as the engines are: descendants are found in /proc.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

# Exit codes, documented in README.md.
DONE = 0
FAILED = 70  # EX_SOFTWARE: an `error` event says what
STOPPED = 75  # EX_TEMPFAIL: the host closed stdin or stdout, or sent a signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

# How much later than the harness's own threads the watcher acts: they end it in an orderly way if they can.
_GRACE_SECONDS = 2.0


class Lifeline:
    """Owns the temporary folder and the process tree; `end` is the only way out."""

    def __init__(self, folder: Path, leads: bool = True) -> None:
        """@param leads false for a fork, which stays in the group of its parent: it must go with it"""
        self._folder = folder
        self._pid = os.getpid()
        self._ending = threading.Lock()
        # Children of children that die are adopted by us instead of by init, so that `descendants` sees them.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        # Own group: the host can kill it as one, and a Ctrl-C on its terminal reaches the host alone.
        if leads and os.getpgrp() != self._pid:
            os.setpgid(0, 0)
        # The kernel ignores a signal without handler sent to PID 1, which this is in a container.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self.end(STOPPED))

    def watch(self, seconds: float) -> int:
        """Forks a watcher of stdin and of the time, and gives its pid.

        A thread that hangs in C with the interpreter's lock keeps all others from running, those that would notice
        the end of stdin and the deadline among them. To be called before there are threads and while descriptor 0
        still is the real stdin.
        """
        watcher = os.fork()
        if watcher == 0:
            # With the harness it dies too. Its copy of stdout must not keep the host waiting for the end of it; by that
            # of stderr the host knows when it has gone.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            os.close(1)
            os.closerange(3, 1 << 10)
            if os.getppid() == self._pid:
                _await_hang_up(seconds)
                time.sleep(_GRACE_SECONDS)
                for pid in (*descendants(self._pid), self._pid):
                    if pid != os.getpid():
                        _kill(pid)
            os._exit(STOPPED)
        return watcher

    def end(self, code: int) -> None:
        """Kills all descendants, removes the folder and exits without running anybody's exit handlers."""
        self._give_back(code)
        os._exit(code)

    def end_alike(self, code: int) -> None:
        """As a process ended whose exit code this is; negative for a signal, as Python has it."""
        if code >= 0:
            self.end(code)
        self._give_back(code)
        # The dump of a fork has been written, or was not wanted.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(self._pid, -code)
        os._exit(FAILED)

    def _give_back(self, code: int) -> None:
        if os.getpid() != self._pid:
            os._exit(code)
        if not self._ending.acquire(blocking=False):
            # Another thread is at it and will not come back.
            threading.Event().wait()
        for _ in range(100):
            alive = [pid for pid in descendants(self._pid) if not _is_resource_tracker(pid)]
            if not alive:
                break
            for pid in alive:
                _kill(pid)
            time.sleep(0.01)
        shutil.rmtree(self._folder, ignore_errors=True)

    def limit(self, seconds: float, expired: Callable[[], None]) -> None:
        """After `seconds`, calls `expired` and ends."""

        def wait() -> None:
            time.sleep(seconds)
            try:
                expired()
            finally:
                self.end(FAILED)

        threading.Thread(target=wait, name="deadline", daemon=True).start()


def _await_hang_up(seconds: float) -> None:
    """Until nobody can write to stdin any more, or the time is over. Takes nothing out of it."""
    poll = select.poll()
    # No event is asked for: hang-up is always told.
    poll.register(0, 0)
    poll.poll(seconds * 1000)


def dies_with(parent: int) -> None:
    """To be called by a fork: it is killed when its parent dies, and goes if that has died already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(STOPPED)


def clear(keep: int) -> None:
    """Kills what a fork of this process left behind, and takes note of their ends. `keep`: the watcher."""
    for _ in range(100):
        left = [pid for pid in descendants(os.getpid()) if pid != keep]
        for pid in left:
            _kill(pid)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        if not left:
            return
        time.sleep(0.01)


def activity() -> int:
    """CPU ticks that this process and its descendants have used: grows as long as somebody works."""
    return sum(_ticks(pid) for pid in (os.getpid(), *descendants(os.getpid())))


def identity(pid: int) -> str:
    """A process told apart from a later one with the same pid: by its start, in clock ticks since boot."""
    return f"{pid}@{_stat(pid)[19]}"


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on; the second may hold spaces and parentheses."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _ticks(pid: int) -> int:
    try:
        fields = _stat(pid)
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def descendants(root: int) -> list[int]:
    """Processes that this one started, and those that they did."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                state, parent = _stat(int(entry))[:2]
            except OSError:
                continue
            # A zombie is dead already; it only waits for somebody to look.
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(entry))
    found: list[int] = []
    pending = [root]
    while pending:
        born = children.get(pending.pop(), [])
        found += born
        pending += born
    return found


def _is_resource_tracker(pid: int) -> bool:
    """Python's own cleaner of shared memory: it ends by itself when its clients have, and must live until then."""
    try:
        return b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
