"""How nvidia-smi and the kernel are asked of the GPUs' health, and a reading that tells nothing yet."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .lifeline import descendants

At = Literal["before", "after"]
Reading = dict[str, Any]

# Of a whole `nvidia-smi -q -x`: eight GPUs with their lists of clocks are below 1 MB.
MAX_BYTES = 8 * 1024 * 1024
# Without persistence mode the driver first wakes eight GPUs; one that is lost can keep nvidia-smi for ever.
SECONDS = 30.0

_DEVICES = ("/dev/nvidia[0-9]*", "/proc/driver/nvidia/gpus/*", "/dev/nvhost-gpu", "/dev/nvgpu", "/dev/kfd")


@dataclass(frozen=True)
class Answer:
    """How nvidia-smi ended. `exit` is None where it gave no answer in time, or one without end."""

    exit: int | None
    out: str = ""
    err: str = ""


Ask = Callable[[Sequence[str], float], Answer | None]


@dataclass(frozen=True)
class Machine:
    """What a reading looks at."""

    ask: Ask
    """Runs nvidia-smi; None where there is none."""
    has_device: Callable[[], bool]
    """Whether there is a device of a GPU, whoever can read it."""
    kernel_log: Callable[[], Iterable[tuple[float, str]] | None]
    """Seconds since boot and message; None where this user may not read it."""
    own: Callable[[], Collection[int]]
    """Processes that are ours."""
    is_here: Callable[[int], bool]
    """Whether a process of that number is seen from here."""
    now: Callable[[], float]


def ask_smi(args: Sequence[str], seconds: float) -> Answer | None:
    """In a child of its own, which is left alone where even SIGKILL does not end it: it may hang in the driver."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            child = subprocess.Popen(
                ["nvidia-smi", *args],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "LC_ALL": "C", "LANG": "C"},
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            return Answer(126, err=str(error))
        code = _end_of(child, seconds, out, err)
        if code is None:
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(1)
        return Answer(code, _start_of(out), _start_of(err))


def _end_of(child: subprocess.Popen[bytes], seconds: float, *files: Any) -> int | None:
    """Its exit code; None for one that does not end in time, or writes more and more."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and all(os.fstat(f.fileno()).st_size <= 2 * MAX_BYTES for f in files):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(min(left, 0.2))
    return None


def _start_of(file: Any) -> str:
    file.seek(0)
    return bytes(file.read(MAX_BYTES)).decode(errors="replace")


def _kernel_log() -> list[tuple[float, str]] | None:
    try:
        log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    found: list[tuple[float, str]] = []
    try:
        # One record each; the buffer of the kernel holds far fewer.
        for _ in range(1_000_000):
            try:
                record = os.read(log, 8192)
            except BrokenPipeError:
                continue
            except BlockingIOError:
                return found
            except OSError:
                return None
            head, _, message = record.decode(errors="replace").partition(";")
            if "NVRM" in message:
                found.append((int(head.split(",")[2]) / 1e6, message))
    finally:
        os.close(log)
    return found


def _is_here(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _has_device() -> bool:
    import glob

    return any(glob.glob(pattern) for pattern in _DEVICES)


HERE = Machine(
    ask=ask_smi,
    has_device=_has_device,
    kernel_log=_kernel_log,
    own=lambda: {os.getpid(), *descendants(os.getpid())},
    is_here=_is_here,
    now=time.monotonic,
)


def nothing(at: At, state: str, why: str | None = None, exit: int | None = None) -> Reading:
    told = None if why is None else why[:512]
    return {
        "at": at,
        "state": state,
        "why": told,
        "exit": exit,
        "driver": None,
        "gpus": [],
        "xids": None,
        "selfTest": None,
    }
