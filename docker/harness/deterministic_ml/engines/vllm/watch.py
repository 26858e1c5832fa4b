"""What the engine says of itself while a pass runs: the witness."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# Prefill steps that are listed for one request, as many as the protocol takes.
_CHUNKS = 256

# Counters of the engine, and what the witness calls them.
_GENERATED = "vllm:generation_tokens"
_COUNTERS = {
    "generatedTokens": _GENERATED,
    "promptTokens": "vllm:prompt_tokens",
    "cachedTokens": "vllm:prefix_cache_hits",
    "preemptions": "vllm:num_preemptions",
}


@dataclass
class _Seen:
    """What the scheduler did with one request."""

    id: str
    order: int | None = None
    together: int = 0
    chunks: list[int] = field(default_factory=list)
    decode_steps: int = 0
    cached_tokens: int = 0
    generated: int = 0

    def told(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "order": self.order,
            "together": self.together,
            "chunks": self.chunks,
            "decodeSteps": self.decode_steps,
            "cachedTokens": self.cached_tokens,
        }


class Watch:
    """Looks at each schedule as it is made, where the scheduler can be reached; at the engine's metrics besides.

    The running queue after a step lacks the requests that finished in it, hence the schedules. Looking changes
    nothing: the scheduler's own method runs and its answer is handed on. What happens outside of `with`, or `aside`, is
    not told, such as the filling of a cache.
    """

    # Tokens so far, to show that a pass goes on: the witness has the engine's own count.
    generated = 0

    def __init__(self, engine: Any, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._metrics = Metrics(engine)
        # As `with` began, and as it was last read.
        self._before: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._grown: dict[str, int] | None = None
        self._steps: int | None = None if scheduler is None else 0
        self._max_running: int | None = None if scheduler is None else 0
        # The engine's id -> what was seen, in the order of submission.
        self._seen: dict[str, _Seen] = {}
        self._taken_up = 0

    def add(self, request: str, name: str) -> None:
        self._seen[request] = _Seen(name)

    def __enter__(self) -> Watch:
        self._before = self._last = self._metrics.read()
        if self._scheduler is not None:
            schedule = self._scheduler.schedule

            def watched(*args: Any, **kwargs: Any) -> Any:
                output = schedule(*args, **kwargs)
                self._look(output.num_scheduled_tokens)
                return output

            # On the instance, so that deleting it brings the class's method back.
            self._scheduler.schedule = watched
        return self

    def __exit__(self, *_: object) -> None:
        if self._scheduler is not None:
            del self._scheduler.schedule
        now = self._metrics.read()
        grown = {
            name: int(now[metric] - self._before[metric])
            for name, metric in _COUNTERS.items()
            if metric in now and metric in self._before
        }
        self._grown = grown if self._grown is None else {name: self._grown[name] + grown[name] for name in grown}

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Looks away, inside of `with`."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def stepped(self) -> None:
        """After a step. Without the scheduler, the engine's gauge is the next best: to read it takes 2 ms each time."""
        if self._scheduler is not None:
            return
        now = self._metrics.read()
        self.generated += int(now.get(_GENERATED, 0) - self._last.get(_GENERATED, 0))
        self._last = now
        running = now.get("vllm:num_requests_running")
        if running is not None:
            self._max_running = max(self._max_running or 0, int(running))

    def told(self, process: str) -> dict[str, Any]:
        """`Witness` of the protocol."""
        grown = self._grown or {}
        return {
            "process": process,
            "steps": self._steps,
            "maxRunning": self._max_running,
            **{name: grown.get(name) for name in _COUNTERS},
            "requests": None if self._scheduler is None else [seen.told() for seen in self._seen.values()],
        }

    def _look(self, scheduled: dict[str, int]) -> None:
        if not scheduled:
            return
        self._steps = (self._steps or 0) + 1
        self._max_running = max(self._max_running or 0, len(scheduled))
        for name, tokens in scheduled.items():
            seen, request = self._seen[name], self._scheduler.requests[name]
            # The scheduler has already counted this step's tokens as computed.
            begin = request.num_computed_tokens - tokens
            if seen.order is None:
                seen.order = self._taken_up
                seen.cached_tokens = begin
                self._taken_up += 1
            seen.together = max(seen.together, len(scheduled))
            # With the one that this step gives at least, once the prompt is done.
            made = request.num_output_tokens + (begin + tokens >= request.num_prompt_tokens)
            self.generated += made - seen.generated
            seen.generated = made
            if begin >= request.num_prompt_tokens:
                seen.decode_steps += 1
            elif len(seen.chunks) < _CHUNKS:
                seen.chunks.append(tokens)


class Metrics:
    """The engine's own counters and gauges; none under `disable_log_stats`."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def read(self) -> dict[str, float]:
        if not self._engine.log_stats:
            return {}
        values: dict[str, float] = {}
        for metric in self._engine.get_metrics():
            if hasattr(metric, "value"):
                values[metric.name] = values.get(metric.name, 0) + metric.value
        return values


def nothing_seen(process: str) -> dict[str, Any]:
    """The witness of a pass that did not take place."""
    return {"process": process, "steps": 0, "maxRunning": 0, **dict.fromkeys(_COUNTERS, 0), "requests": []}
