"""A function that is loaded, and the passes that it can do."""

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...harness.channel import Command, Progress
from ...harness.errors import HarnessError, cap, explain
from ...harness.lifeline import identity
from ...program.channels import Channel as Emitted
from ...program.emitter import Emitter
from ...program.knobs import in_force
from ..common import variables
from ..observation import Channel, Observation, Pass, digests, written
from .arguments import Arguments
from .failing import told

Function = Callable[..., object]


class Script:
    perturbed = None

    def __init__(
        self, function: Function, options: Mapping[str, Any], args: Arguments, dropped: list[str], folder: Path
    ) -> None:
        """@param folder in which the user's files lie"""
        self.function = function
        self.options = options
        self.args = args
        self.folder = folder
        self.dropped = dropped
        self.process = identity(os.getpid())
        # After its import: that may set what nobody asked for.
        self.effective: dict[str, Any] = {knob.name: knob.value for knob in in_force().knobs}

    def run(self, command: Command, progress: Progress) -> Pass:
        """@raises HarnessError `script-failed`, which names the prompt"""
        watch = _Watch(self.process)
        if command["kind"] != "generate":
            return Pass(
                watch.told(), unavailable=f"a script is called with a prompt: it does no {command['kind']} pass"
            )
        if command["warm"]:
            return Pass(watch.told(), unavailable="a script keeps no prefix cache")
        requests = {request["id"]: request for request in command["requests"]}
        observations: list[Observation] = []
        for name in (name for group in command["groups"] for name in group):
            request = requests[name]
            done = len(watch.called)
            emitted = self._call(request, lambda done=done: progress.set(done))  # type: ignore[misc]
            watch.called.append(name)
            if request["observed"]:
                channels = [_travelling(name, one) for name, one in emitted.items()]
                observations.append(Observation(request["id"], "unknown", channels))
            progress.set(len(watch.called))
        return Pass(watch.told(), observations=observations)

    def vocabulary(self, ids: Sequence[int]) -> dict[int, str]:
        return {}

    def variables(self, names: Sequence[str]) -> list[Mapping[str, str]]:
        return [variables.here(names)]

    def close(self) -> None:
        """Its memory goes with the process."""

    def _call(self, request: Mapping[str, Any], heard: Callable[[], None]) -> Mapping[str, Emitted]:
        content = request["input"]
        # Its own copy: what it does to it the next call must not see.
        prompt = content["text"] if "text" in content else copy.deepcopy(content["messages"])
        emit = Emitter(heard)
        _seed(self.args.seed)
        returned: object = None
        try:
            with _this_process():
                returned = self.function(prompt, emit, **self.options)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            raise self._failed(request["id"], error) from error
        emitted = emit.close()
        if emit.fault is not None:
            raise self._failed(request["id"], emit.fault)
        if inspect.isgenerator(returned) or inspect.isawaitable(returned):
            raise _failure(request["id"], "the function gave a generator or a coroutine, of which nothing was run")
        if not emitted:
            raise _failure(request["id"], "nothing was emitted: there is nothing to compare")
        return emitted

    def _failed(self, prompt: str, error: BaseException) -> HarnessError:
        known = explain(error, "script-failed")
        return known if known.code != "script-failed" else _failure(prompt, told(error, self.folder))


def _failure(prompt: str, why: str) -> HarnessError:
    error = HarnessError("script-failed", f"`{prompt}`: {why}")
    error.prompts = [{"id": prompt, "message": cap(why)[:1024]}]
    return error


@contextlib.contextmanager
def _this_process() -> Iterator[None]:
    """A child that the function forks and that comes back from it ends there: it must not go on as the harness."""
    process = os.getpid()
    code = 1
    try:
        yield
        code = 0
    except BaseException:
        if os.getpid() != process:
            traceback.print_exc()
        raise
    finally:
        if os.getpid() != process:
            os._exit(code)


def _seed(seed: int) -> None:
    """Each call begins alike, whichever came before it."""
    random.seed(seed)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(seed)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)


def _travelling(name: str, emitted: Emitted) -> Channel:
    if emitted.text is not None:
        return written(name, emitted.text)
    return digests(name, [{"name": one.name, "sha256": one.sha256, "nans": one.nans} for one in emitted.digests])


@dataclass
class _Watch:
    """What was called, in this order."""

    process: str
    called: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """`Witness` of the protocol."""
        return {
            "process": self.process,
            "steps": len(self.called),
            "generatedTokens": 0,
            "promptTokens": 0,
            "maxRunning": min(1, len(self.called)),
            "cachedTokens": 0,
            "preemptions": 0,
            "requests": [
                {"id": name, "order": at, "together": 1, "chunks": [], "decodeSteps": 0, "cachedTokens": 0}
                for at, name in enumerate(self.called)
            ],
        }
