"""Seconds that vLLM took to warm up: it tells them in its log alone."""

from __future__ import annotations

import logging
import re
from types import TracebackType

# Its core's, which profiles, makes the cache and warms the kernels up.
_LOGGER = "vllm.v1.engine.core"
_TOLD = re.compile(r"^init engine \(.*warmup.*\) took ([\d.]+) s")


class WarmUp(logging.Handler):
    """Hears it said in this process; a core in another one is not heard."""

    seconds: float | None = None

    def __enter__(self) -> WarmUp:
        logging.getLogger(_LOGGER).addHandler(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        logging.getLogger(_LOGGER).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if match := _TOLD.match(record.getMessage()):
            self.seconds = float(match[1])
