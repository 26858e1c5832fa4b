"""Threads of this process beside its own, which no fork of it has, and whose code they run."""

from __future__ import annotations

import os
import re
import struct
import time
from pathlib import Path

# Threads that a fork finds again when it needs them: jemalloc, which pyarrow brings, has handlers of forks.
_KNOW_FORKS = frozenset({"jemalloc_bg_thd"})
# A thread that was joined is listed until the kernel has done with it.
_ENDING_SECONDS = 1.0

_TASKS = Path("/proc/self/task")
_STACK_BYTES = 1 << 20
# In every stack, whoever started the thread.
_EVERYWHERE = re.compile(r"/(?:ld-|ld\.so|libc[.-]|libpthread|libstdc\+\+|libgcc_s|libpython|python)[^/]*$")
_PACKAGES = re.compile(r"^.*/(?:site|dist)-packages/")


def left_behind() -> list[str]:
    """Those that last, by the name that they gave themselves and the library that runs in them where one is found."""
    until = time.monotonic() + _ENDING_SECONDS
    while (found := _others()) and time.monotonic() < until:
        time.sleep(0.01)
    return sorted(f"{name} ({library})" if (library := _library(task)) else name for task, name in found)


def _others() -> list[tuple[Path, str]]:
    found = []
    for thread in os.listdir(_TASKS):
        try:
            name = (_TASKS / thread / "comm").read_text().strip()
        except OSError:
            continue
        if thread != str(os.getpid()) and name not in _KNOW_FORKS:
            found.append((_TASKS / thread, name))
    return found


def _library(task: Path) -> str | None:
    """The library in whose code a waiting thread began, by its stack. None for Python's, and for one that runs."""
    try:
        words = (task / "syscall").read_text().split()
        maps = Path("/proc/self/maps").read_text(errors="replace").splitlines()
        if len(words) < 3:
            return None
        top = int(words[-2], 16)
        end = top
        code: list[tuple[int, int, str]] = []
        for line in maps:
            bounds, access, _, _, _, *file = line.split(None, 5)
            low, high = (int(bound, 16) for bound in bounds.split("-"))
            if low <= top < high:
                end = min(high, top + _STACK_BYTES)
            if "x" in access and file and file[0].startswith("/") and not _EVERYWHERE.search(file[0]):
                code.append((low, high, file[0]))
        # Not through a pointer: the thread may end, and its stack with it.
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            stack = os.pread(memory.fileno(), (end - top) // 8 * 8, top)
    except OSError:
        return None
    for (word,) in reversed(list(struct.iter_unpack("=Q", stack[: len(stack) // 8 * 8]))):
        for low, high, library in code:
            if low <= word < high:
                return _PACKAGES.sub("", library)
    return None
