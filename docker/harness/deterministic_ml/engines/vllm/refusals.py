"""What vLLM refuses and how it dies, as errors that the host knows."""

from __future__ import annotations

import gc
import multiprocessing.process
import os
import re
import signal
import traceback

from ...harness.errors import HarnessError, describe, explain


def refusal(error: Exception) -> HarnessError | None:
    """What vLLM refused while it made its configuration, as opposed to a failure of what it then started."""
    frames = traceback.extract_tb(error.__traceback__)
    if any(frame.filename.endswith("engine/arg_utils.py") for frame in frames):
        return rejected(error)
    return None


def rejected(error: Exception, place: str = "") -> HarnessError:
    """With the engine's first sentence, without the addresses, dumps and advice that follow it."""
    if callable(errors := getattr(error, "errors", None)):
        # Pydantic's: the first of its findings.
        first = errors()[0]
        message = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        if first["loc"]:
            place += f"{first['loc'][0]}: "
    else:
        message = str(error).strip()
    sentence = re.split(r"(?<=[.!?])\s", message, maxsplit=1)[0]
    return HarnessError(explain(error, otherwise="engine-rejected").code, place + (sentence or describe(error)))


def worker_death() -> HarnessError | None:
    """A worker that a signal killed: vLLM only says that it is gone. Its handle is somewhere inside of vLLM."""
    for worker in gc.get_objects():
        if not isinstance(worker, multiprocessing.process.BaseProcess) or worker.pid in (None, os.getpid()):
            continue
        code = worker.exitcode
        if code == -signal.SIGKILL:
            return HarnessError("engine-out-of-memory", f"{worker.name} was killed, as the kernel does without memory")
        if code is not None and code < 0 and code != -signal.SIGTERM:
            return HarnessError("engine-failed", f"{worker.name} died of {signal.Signals(-code).name}")
    return None
