"""Which rows of a step belong to which request, as a worker's model runner lays them out. Runs in the workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..common.hooks import Hooks, Rows
from ..observation import Channel, Digest


class Tracing:
    """Digests modules while a model runner works, until ended. Looking changes nothing of what it does."""

    def __init__(self, runner: Any, digested: bool = True, roles: bool = False) -> None:
        self._runner = runner
        self._hooks = Hooks(runner.get_model(), digested, roles)
        self._wrapped: list[str] = []
        if hasattr(runner, "input_batch"):
            self._after("_prepare_inputs", lambda _: self._hooks.step(*rows_of_runner(runner)))
        elif getattr(runner, "pcp_manager", None) is None:
            # Model Runner V2, unless it deals the tokens of a prompt out to several devices.
            self._after("prepare_inputs", lambda batch: self._hooks.step(*rows_of_batch(batch)))

    def expect(self, requests: dict[str, int]) -> None:
        """The engine's id of each request that is digested, and of how many tokens it is."""
        for request, tokens in requests.items():
            self._hooks.expect(request, tokens)

    def end(self) -> dict[str, list[Digest]]:
        for name in self._wrapped:
            # They are on the instance, so that the class's own come back.
            delattr(self._runner, name)
        return self._hooks.remove()

    def roles(self) -> dict[str, Channel]:
        """Once ended."""
        return self._hooks.roles()

    def _after(self, name: str, tell: Callable[[Any], None]) -> None:
        original = getattr(self._runner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            tell(result)
            return result

        setattr(self._runner, name, watched)
        self._wrapped.append(name)


def rows_of_runner(runner: Any) -> tuple[list[Rows], int]:
    """Of the first model runner, once it has prepared a step: its rows and how many there are in all."""
    batch = runner.input_batch
    count = batch.num_reqs
    return _rows(batch.req_ids[:count], runner.query_start_loc.np[: count + 1], batch.num_computed_tokens_cpu[:count])


def rows_of_batch(batch: Any) -> tuple[list[Rows], int]:
    """Of Model Runner V2's `InputBatch`."""
    # Of a request that decodes, all of its prompt.
    return _rows(batch.req_ids, batch.query_start_loc_np[: batch.num_reqs + 1], batch.num_computed_prefill_tokens_np)


def _rows(requests: list[str], borders: Any, computed: Any) -> tuple[list[Rows], int]:
    begins = [int(border) for border in borders]
    rows = [
        Rows(request, begin, end, int(first))
        for request, begin, end, first in zip(requests, begins, begins[1:], computed)
    ]
    return rows, begins[-1]
