"""What NCCL chose: algorithms and protocols of collectives, channels, links, NVLS. It tells them in its log alone.

They follow from the topology, the version and the environment, and another algorithm adds in another order. They are
facts that explain a drift: nothing is decided by them. The lines are those of NCCL's own source (`src/enqueue.cc`,
`src/init.cc`, `src/graph/search.cc`, `src/transport/*.cc`): older versions tell numbers for algorithm, protocol and
pattern (NVIDIA/nccl#1453, NVIDIA/nccl#1197), newer ones names.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterable, Iterator, MutableMapping
from pathlib import Path

# TUNING tells the algorithms, GRAPH the topology, INIT version and channels.
_SUBSYSTEMS = "INIT,GRAPH,TUNING"
_NAME = "nccl-log"

# Of what is read, and of what lies there: there is a line for each collective that runs.
MAX_BYTES = 16 << 20
_MAX_FILES = 64
_MAX_FACT = 512
_SECONDS = 5.0

_ALGORITHMS = ("TREE", "RING", "COLLNET_DIRECT", "COLLNET_CHAIN", "NVLS", "NVLS_TREE", "PAT")
_PROTOCOLS = ("LL", "LL128", "SIMPLE")
# Of `src/include/graph.h`.
_PATTERNS = {"1": "balanced tree", "2": "split tree", "3": "tree", "4": "ring", "5": "nvls", "6": "collnet"}

_VERSION = re.compile(r"NCCL version (\d[\w.+]{0,63})")
_CHOICE = re.compile(r"NCCL INFO (?:(\w{1,32}): +)?\d+ Bytes -> Algo (\w{1,32}) proto (\w{1,32})\b")
_CHANNELS = re.compile(r"NCCL INFO (\d+ coll channels(?:, \d+ (?:collnet|nvls|p2p) channels(?: per peer)?){1,8})")
_NVLS = re.compile(r"NVLS multicast support is (not )?available")
_LINK = re.compile(r"NCCL INFO Channel \d+/\d+ : .{1,80}? via ([\w/ -]{1,64}?)(?: comm .*)?$", re.MULTILINE)
_PATTERN = re.compile(
    r"NCCL INFO +Pattern (\w{1,32}), crossNic \d+, nChannels (\d+), (?:bw|speed) ([\d.]+)/([\d.]+), type (\w+/\w+)"
)

Facts = dict[str, str]


class Listening:
    """To what NCCL says in the processes of an engine that computes on several GPUs, until it has loaded."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def told(self) -> Facts:
        """Once, when the engine has loaded: what comes later is thrown away as it grows."""
        told = facts(_logs(self._folder))
        threading.Thread(target=self._bound, name="NCCL's log", daemon=True).start()
        return told

    def _bound(self) -> None:
        """It lies in memory in a container, and a long run has a million collectives."""
        while True:
            for log in _files(self._folder):
                with contextlib.suppress(OSError):
                    if log.stat().st_blocks * 512 > MAX_BYTES:
                        os.truncate(log, 0)
            threading.Event().wait(_SECONDS)


def listen(environment: MutableMapping[str, str], scratch: Path, ranks: int) -> Listening | None:
    """Before the workers start, which inherit the environment.

    None where nothing is summed over ranks, and where somebody else listens: their setting is theirs.
    """
    if ranks < 2 or any(name.startswith("NCCL_DEBUG") for name in environment):
        return None
    folder = scratch / _NAME
    folder.mkdir(exist_ok=True)
    asked = {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": _SUBSYSTEMS, "NCCL_DEBUG_FILE": str(folder / "%h.%p")}
    environment.update(asked)
    return Listening(folder)


def facts(logs: Iterable[str]) -> Facts:
    """Of the logs of all ranks; what they do not tell is not there. A fact is a sorted list: order is none."""
    found: dict[str, set[str]] = {}
    for log in logs:
        for name, told in _told(log):
            found.setdefault(f"nccl.{name}", set()).add(told)
    return {name: "; ".join(sorted(told))[:_MAX_FACT] for name, told in sorted(found.items())}


def _told(log: str) -> Iterator[tuple[str, str]]:
    for match in _VERSION.finditer(log):
        yield "version", match[1]
    for match in _CHOICE.finditer(log):
        choice = f"{_named(match[2], _ALGORITHMS)}/{_named(match[3], _PROTOCOLS)}"
        yield "algorithms", f"{match[1]} {choice}" if match[1] else choice
    for match in _CHANNELS.finditer(log):
        yield "channels", match[1].replace(" channels", "")
    for match in _NVLS.finditer(log):
        yield "nvls", f"{match[1] or ''}available"
    for match in _LINK.finditer(log):
        yield "links", match[1]
    for match in _PATTERN.finditer(log):
        pattern = _PATTERNS.get(match[1], match[1].lower())
        yield "topology", f"{pattern} {match[2]} x {float(match[3]):g}/{float(match[4]):g} {match[5]}"


def _named(value: str, names: tuple[str, ...]) -> str:
    """Older ones tell numbers."""
    return names[int(value)] if value.isdigit() and int(value) < len(names) else value.upper()


def _files(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())[:_MAX_FILES]
    return []


def _logs(folder: Path) -> Iterator[str]:
    for path in _files(folder):
        with contextlib.suppress(OSError), path.open("rb") as file:
            yield file.read(MAX_BYTES).decode("ascii", errors="replace")
