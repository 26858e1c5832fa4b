"""One life of the harness, from `hello` to `done`."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .. import engines
from ..engines.foretelling import foretell
from ..engines.observation import unpack_ids
from .channel import Channel, Command
from .digests import Digested, digest_model
from .errors import HarnessError, explain
from .fingerprint import Facts, fingerprint
from .health import Watch
from .lifeline import DONE, FAILED, STOPPED, Lifeline, activity
from .smi import Reading
from .software import Software

PROTOCOL = 2
PASS_KINDS = ("generate", "force", "score", "trace")


def main(folder: Path) -> None:
    start = _read_start(folder)
    if start.get("warm"):
        from .warm import serve

        serve(start, folder, PROTOCOL, live)
    live(start, folder, dict(os.environ), False)


def live(start: dict[str, Any], folder: Path, environment: Mapping[str, str], forked: bool) -> None:
    """@param folder private to this life: it goes when the life ends
    @param environment as it was before the engine was imported, which may change it
    @param forked of a process that has imported the engine
    """
    lifeline = Lifeline(folder, leads=not forked)
    lifeline.watch(start["deadlineSeconds"])
    channel = Channel(start["nonce"], hung_up=lambda: lifeline.end(STOPPED))
    limit = start["deadlineSeconds"]
    lifeline.limit(limit, lambda: channel.emit_last("error", **_expired(limit)))

    def fail(error: BaseException) -> None:
        known = explain(error)
        channel.emit("error", code=known.code, message=known.message, prompts=known.prompts)
        lifeline.end(FAILED)

    try:
        channel.emit("hello", protocol=PROTOCOL, pid=os.getpid(), python=platform.python_version())
        if start["protocol"] != PROTOCOL:
            raise HarnessError("protocol-violation", f"the host speaks protocol {start['protocol']}, not {PROTOCOL}")
        here = Here(start["task"], start["environment"], environment, folder, forked)
        channel.emit("done", health=_run_engine(here, channel, fail))
    except BaseException as error:
        fail(error)
    lifeline.end(DONE)


@dataclass(frozen=True)
class Here:
    task: dict[str, Any]
    # Variables that the host set.
    asked: Mapping[str, str]
    # All of them, before the engine was imported.
    environment: Mapping[str, str]
    scratch: Path
    forked: bool


def _run_engine(here: Here, channel: Channel, fail: Callable[[BaseException], None]) -> Reading:
    """@param fail ends this process: another thread than this one may have failed
    @return the health of the GPUs once the engine has ended"""
    engine = engines.find(here.task["engine"])
    watch = Watch(listed=here.environment.get("CUDA_VISIBLE_DEVICES"))
    software = Software()
    model = _imported_beside(engine, here, fail, lambda torch: _say_what_is_here(engine, here, channel, watch, torch))

    running = None
    while (command := channel.next_command())["command"] != "end":
        if command["command"] == "load" and running is None:
            probes = {"probes": foretell()} if command.get("probes") else {}
            running, seconds = _load(engine, model.digested, command, here.scratch, channel)
            settings = _settings(running, command["args"], here.asked)
            told = {"settings": settings, "software": software.told(), "perturbed": running.perturbed, **probes}
            channel.emit(
                "lifetime",
                seconds=seconds,
                importSeconds=model.import_seconds,
                warmUpSeconds=getattr(running, "warm_up_seconds", None),
                **told,
            )
        elif command["command"] == "pass" and running is not None:
            _run_pass(running, command, channel)
        elif command["command"] == "vocabulary" and running is not None:
            texts = running.vocabulary(unpack_ids(command["ids"]))
            channel.emit("vocabulary", texts={str(token): text for token, text in texts.items()})
        elif command["command"] == "rest" and running is not None:
            channel.emit("rested", health=watch.after())
        else:
            raise HarnessError("protocol-violation", f"`{command['command']}` cannot come here")
    if running is not None:
        # Frees shared memory in an orderly way; an engine that hangs in it is ended all the same.
        closing = threading.Thread(target=running.close, daemon=True)
        closing.start()
        closing.join(timeout=10)
    return watch.after()


@dataclass(frozen=True)
class Model:
    digested: Digested
    # That went by in the import alone, after the fingerprint was told.
    import_seconds: float


# Gives a process's torch, once it has it.
Torch = Callable[[], Any]


def _imported_beside(
    engine: engines.Module, here: Here, fail: Callable[[BaseException], None], tell: Callable[[Torch | None], Digested]
) -> Model:
    """Imports the engine while another thread tells what is here: both take seconds, and neither needs the other.

    @param tell is given torch where this process imports it in any case
    """
    if here.forked:
        return Model(tell(lambda: importlib.import_module("torch")), 0.0)
    told: list[tuple[Digested, float]] = []
    done = threading.Event()
    torch = partial(_torch_of_an_import, done) if engines.imports_apart(engine) else None

    def telling() -> None:
        try:
            told.append((tell(torch), time.monotonic()))
        except BaseException as error:
            fail(error)

    thread = threading.Thread(target=telling, name="fingerprint", daemon=True)
    thread.start()
    # What is wrong with it is told by the load, which needs it: a fingerprint does not.
    with contextlib.suppress(Exception):
        engines.preload(engine, here.task["model"] or "")
    done.set()
    imported = time.monotonic()
    thread.join()
    digested, at = told[0]
    return Model(digested, max(0.0, imported - at))


def _torch_of_an_import(done: threading.Event) -> Any:
    """As soon as the import that goes on in another thread has brought it.

    One that began here too would meet packages of which the other has half.
    """
    while "torch" not in sys.modules and not done.wait(0.01):
        pass
    # Waits for the rest of it.
    return importlib.import_module("torch")


def _say_what_is_here(
    engine: engines.Module, here: Here, channel: Channel, watch: Watch, torch_here: Torch | None
) -> Digested:
    """The fingerprint, before any model is loaded: it chooses the baseline. And whether the GPUs can be trusted."""
    health = watch.before()
    facts = Facts(here.environment, torch_here)
    folder = here.task["model"]
    model = digest_model(None if folder is None else Path(folder), here.task["knownDigests"], channel)
    torch = facts.wait()
    gpus = watch.gpus(torch, health)
    channel.emit(
        "fingerprint",
        fingerprint=fingerprint(engine, model.files, torch, gpus, watch.devices, here.environment),
        health=watch.used(health, torch, gpus),
    )
    return model


def _load(
    engine: engines.Module, model: Digested, command: Command, scratch: Path, channel: Channel
) -> tuple[engines.Running, float]:
    began = time.monotonic()
    loaded = threading.Event()
    threading.Thread(target=_signs_of_life, args=(channel, loaded), name="signs of life", daemon=True).start()
    try:
        running = engine.load(str(model.folder or ""), command, scratch)
    finally:
        loaded.set()
    model.check_unchanged()
    return running, time.monotonic() - began


def _settings(running: engines.Running, args: Mapping[str, Any], asked: Mapping[str, str]) -> dict[str, Any]:
    """With those of the variables which are not what was asked for, in any process that computes."""
    others: dict[str, str] = {}
    for process in running.variables(list(asked)):
        for name, value in process.items():
            if asked.get(name, value) != value:
                others.setdefault(f"environment.{name}", value[:4096])
    effective = {**running.effective, **dict(sorted(others.items()))}
    further = {name: told for name in ("served", "unread") if (told := getattr(running, name, None))}
    requested = getattr(running, "requested", None) or args
    return {"requested": requested, "dropped": running.dropped, "effective": effective, **further}


def _signs_of_life(channel: Channel, loaded: threading.Event) -> None:
    """While an engine loads, which it does not report: a sign as long as it uses the CPU, none when it hangs."""
    progress = channel.progress("load", 0)
    worked = 0
    while not loaded.is_set():
        if (now := activity()) > worked:
            worked = now
            progress.set(0)
        loaded.wait(5)


def _run_pass(running: engines.Running, command: Command, channel: Channel) -> None:
    if command["kind"] not in PASS_KINDS:
        raise HarnessError("protocol-violation", f"this harness knows no pass of kind `{command['kind']}`")
    began = time.monotonic()
    name = command["pass"]
    result = running.run(command, channel.progress(name, len(command["requests"])))
    seconds = time.monotonic() - began
    for observation in result.observations:
        channel.emit("observation", **{"pass": name}, **observation.packed())
    channel.emit(
        "pass",
        **{"pass": name},
        seconds=seconds,
        unavailable=result.unavailable,
        witness=result.witness,
        sampling=result.sampling,
    )


def _read_start(folder: Path) -> dict[str, Any]:
    """Removes the file too: the nonce in it is what tells our events from others."""
    file = folder / "start.json"
    start: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()
    return start


def _expired(seconds: float) -> dict[str, str]:
    return {"code": "deadline-exceeded", "message": f"the engine was not done {seconds:g} s after its start"}
