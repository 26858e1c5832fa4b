"""What can go wrong, under the codes of src/engine/protocol.ts."""

from __future__ import annotations

import errno
from collections.abc import Iterator

MAX_MESSAGE = 4096

# Engines and torch point at a log instead of telling the cause: such a message tells nothing by itself.
_POINTERS = ("see root cause above", "see stack trace", "stack trace above", "check the stack trace")

# Phrases of torch's allocators, and of engines that find no room for their cache of keys and values.
_OUT_OF_MEMORY = (
    "out of memory",
    "cannot allocate memory",
    "can't allocate memory",
    "not enough memory",
    "no available memory for the cache blocks",
    "kv cache is needed, which is larger than",
    "free memory on device",
    "less than requested memory for kv",
    "insufficient memory",
)
_NO_GPU = (
    "no cuda gpus are available",
    "failed to infer device type",
    "found no nvidia driver",
    "cuda driver version is insufficient",
    "nvml_error",
    "cudaerrornodevice",
    "no cuda-capable device",
    "no kernel image is available",
)


class HarnessError(Exception):
    """An error that the host knows by its code. It ends the lifetime."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = cap(message)
        # Each prompt of the suite that is the cause, as `{id, message}`.
        self.prompts: list[dict[str, str]] = []


def cap(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def explain(error: BaseException, otherwise: str = "engine-failed") -> HarnessError:
    """Finds the cause in a chain of exceptions and names it; `otherwise` is the code of what has no name."""
    if isinstance(error, HarnessError):
        return error
    chain = list(_chain(error))
    for link in reversed(chain):
        if code := _code(link):
            return HarnessError(code, describe(link))
    telling = [link for link in chain if str(link) and not any(p in str(link).lower() for p in _POINTERS)]
    return HarnessError(otherwise, describe((telling or chain)[-1]))


def describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _code(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk-full"
    text = str(error).lower()
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "engine-out-of-memory"
    if any(phrase in text for phrase in _OUT_OF_MEMORY):
        return "engine-out-of-memory"
    if "no space left on device" in text:
        return "disk-full"
    if any(phrase in text for phrase in _NO_GPU):
        return "gpu-unavailable"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """From what was caught to the root; `raise … from None` hides a context on purpose, so it stays hidden."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
