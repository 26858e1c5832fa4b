"""From the `load` command to a function that can be called."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ... import seeding
from ...harness.channel import Command
from ...harness.errors import HarnessError, explain
from ...program.emitter import Emitter
from .arguments import Arguments, parse
from .engine import Function, Script
from .failing import told

# Below the harness's own folder: where the host has the files put.
FOLDER = "program"


def load_engine(model: str, command: Command, scratch: Path) -> Script:
    """@raises HarnessError `engine-rejected` for an argument, `script-invalid` for the file or the function"""
    args, dropped = parse(command["args"], command["defaults"])
    if command["perturbation"] is not None:
        raise HarnessError("engine-rejected", "of a script nothing can be changed on purpose: it has no model of ours")
    if args.deterministic_algorithms:
        # TF32 rounds on some cards and not on others.
        seeding.set_deterministic(args.seed, any_card=not args.allow_tf32)
    folder = scratch / FOLDER
    file = folder / command["program"]
    function = _function(_imported(file, folder), args, file)
    options = {**args.options, **({"model": Path(model)} if model else {})}
    _refuse_call(function, args, options)
    return Script(function, options, args, dropped, folder)


def _imported(file: Path, folder: Path) -> ModuleType:
    """As `python file` would: what lies beside it is found first."""
    name = file.stem
    if name in sys.modules or name in sys.stdlib_module_names:
        raise HarnessError(
            "script-invalid", f"{file.name}: another module is called `{name}`: give the file another name"
        )
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise HarnessError("script-invalid", f"{file.name} is no file of Python: its name must end in `.py`")
    module = importlib.util.module_from_spec(spec)
    # Workers that it spawns find its functions by this name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        known = explain(error, "script-invalid")
        if known.code != "script-invalid":
            raise known from error
        raise HarnessError("script-invalid", f"{file.name} cannot be imported: {told(error, folder)}") from error
    return module


def _function(module: ModuleType, args: Arguments, file: Path) -> Function:
    function = getattr(module, args.function, None)
    if not callable(function):
        has = [
            name for name, one in vars(module).items() if inspect.isfunction(one) and one.__module__ == module.__name__
        ]
        known = ", ".join(f"`{name}`" for name in has[:20]) or "none"
        raise HarnessError("script-invalid", f"{file.name} has no function `{args.function}`; its functions: {known}")
    if (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        raise HarnessError(
            "script-invalid", f"`{args.function}` is a generator or a coroutine: a call would run nothing of it"
        )
    return function  # type: ignore[no-any-return]


def _refuse_call(function: Function, args: Arguments, options: Mapping[str, Any]) -> None:
    """What it takes must be what it will be given."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        # Of what is no Python nothing is known before it is called.
        return
    try:
        signature.bind("", Emitter(), **options)
    except TypeError as error:
        given = ", ".join(["prompt", "emit", *(f"{name}=…" for name in options)])
        raise HarnessError(
            "script-invalid", f"`{args.function}{signature}` is called as `{args.function}({given})`: {error}"
        ) from error
