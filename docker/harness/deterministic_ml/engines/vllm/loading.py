"""From the `load` command to a running engine."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import difflib
import inspect
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...harness.channel import Command
from ...harness.errors import HarnessError, describe, explain
from ..common import nccl
from ..common.prompts import context_length, refuse_prompts
from . import memory, sampling, served
from .engine import Vllm
from .loaded import LoadedEngine
from .means import Means, means_of
from .perturb import perturbing
from .refusals import refusal, worker_death
from .settings import ranks
from .warm_up import WarmUp

# By name: a worker imports it before it loads the model, and only then may a perturbation be put in place.
_EXTENSION = f"{__package__}.worker.Extension"


def load_engine(model: str, command: Command, scratch: Path) -> Vllm:
    _bring_classes()
    from vllm import LLM

    if "worker_extension_cls" in command["args"]:
        raise HarnessError("engine-rejected", "`worker_extension_cls` is taken: the harness extends the workers itself")
    dropped = _unknown(command["args"], command["defaults"])
    serve = command.get("serve")
    own = {name: value for name, value in command["args"].items() if name not in command["defaults"]}
    line = served.NOTHING if serve is None else served.parse(serve["words"], serve["place"], own)
    asked = {name: value for name, value in {**command["args"], **line.args, **own}.items() if name not in dropped}
    if not line.rendering:
        # Rendered otherwise than the model's own template does it, nothing is known beforehand.
        seen = {**command, "args": asked}
        refuse_prompts(model, seen, context_length(model, asked.get("max_model_len")), _has_template(model))
    try:
        with perturbing(command["perturbation"], model, scratch) as perturbation:
            # A configuration that was asked for as an object is filled in as it is used.
            config, why = _configured(perturbation.model, copy.deepcopy(memory.without(asked)))
            args = memory.pinned(asked, config)
            dropped += [name for name in asked if name not in args]
            means = Means(missing=why) if config is None else means_of(config, _fields())
            args |= {**means.engine_args(args), "worker_extension_cls": _EXTENSION}
            listening = nccl.listen(os.environ, scratch, ranks(args))
            with WarmUp() as warm_up:
                llm = LLM(model=perturbation.model, **args)
            loaded = LoadedEngine(llm, means.installed(llm))
            engine = Vllm(loaded, dropped, perturbation.told(llm), warm_up.seconds)
            engine.effective.update({} if listening is None else listening.told())
            sampling.compile_at_once(getattr(loaded.core.engine_core, "engine_core", None))
            _as_served(engine, command, line, own)
            return engine
    except Exception as error:
        raise refusal(error) or worker_death() or explain(error) from error


def _has_template(model: str) -> bool:
    """vLLM has templates of its own for some kinds of models that bring none."""
    try:
        from vllm.transformers_utils.chat_templates import get_chat_template_fallback_path

        config = json.loads(Path(model, "config.json").read_text(encoding="utf-8"))
        return get_chat_template_fallback_path(config["model_type"], model) is not None
    except Exception:
        # Of a version that keeps them elsewhere nothing is known.
        return True


def _as_served(engine: Vllm, command: Command, line: served.Served, own: Mapping[str, Any]) -> None:
    """What a command line and a model's own defaults make of it, and what of them goes unread."""
    loaded = engine.loaded
    config = loaded.config.model_config
    loaded.rendering = line.rendering
    if template := line.rendering.get("chat_template"):
        engine.effective["chat_template_sha256"] = sha256(template.encode()).hexdigest()
    engine.requested = {**command["args"], **line.told, **own}
    serve = command.get("serve")
    if serve is not None:
        overruled = [served.flag(name) for name in line.told if name in own]
        engine.served = {
            "defaults": serve["defaults"],
            "dropped": sorted({*line.dropped, *serve["dropped"]}),
            "overruled": sorted(overruled),
        }
        if serve["defaults"] == "as-served":
            loaded.sampling = sampling.of_model(config)
            engine.effective.update(sampling.told(loaded.sampling))
    engine.unread = sampling.unread(config)


def _configured(model: str, args: Mapping[str, Any]) -> tuple[Any, str | None]:
    """The configuration that vLLM will make of `args`, or why it does not tell it beforehand."""
    from vllm import EngineArgs

    try:
        told = {name: value for name, value in args.items() if name in _fields()}
        return EngineArgs(model=model, **told).create_engine_config(), None
    except Exception as error:
        # If it is the arguments' fault, the engine is about to refuse them itself.
        return None, f"vLLM did not tell its configuration beforehand: {describe(error)}"[:1024]


def _fields() -> set[str]:
    from vllm import EngineArgs

    return {field.name for field in dataclasses.fields(EngineArgs)}


def _bring_classes() -> None:
    """What an installation brings of what vLLM finds out about a model's class, in 8 s with an empty cache.

    vLLM itself looks whether it fits the class's code.
    """
    cache = os.environ.get("VLLM_CACHE_ROOT")
    for prefix in (sys.prefix, "/usr/local"):
        brought = Path(prefix, "share/vllm/modelinfos")
        if cache is not None and brought.is_dir():
            # What this user may not read costs 8 s, and no more.
            with contextlib.suppress(OSError):
                shutil.copytree(brought, Path(cache, "modelinfos"), dirs_exist_ok=True)
            return


def _unknown(args: Mapping[str, Any], defaults: Sequence[str]) -> list[str]:
    """Arguments that this version does not have: dropped if they are our defaults, refused otherwise."""
    from vllm import LLM

    known = _fields() | set(inspect.signature(LLM).parameters)
    known -= {"kwargs", "model"}
    unknown = [name for name in args if name not in known]
    refused = [name for name in unknown if name not in defaults]
    if refused:
        raise HarnessError("engine-rejected", "; ".join(_suggest(name, known) for name in refused))
    return unknown


def _suggest(name: str, known: set[str]) -> str:
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    return f"vLLM has no argument `{name}`" + (f"; did you mean `{nearest[0]}`?" if nearest else "")
