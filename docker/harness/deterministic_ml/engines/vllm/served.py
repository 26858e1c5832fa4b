"""A deployment's own command line (`engine.serve`), read by vLLM's own parser: each version knows its own flags."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ...harness.errors import HarnessError, describe

# Where versions from 0.20 on keep them.
_PARSERS = ("vllm.utils.argparse_utils", "vllm.utils")
_SERVERS = (
    "vllm.entrypoints.common.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.openai.cli_args",
)
_TEMPLATES = (
    *("vllm.renderers.chat_utils.chat_template", "vllm.renderers.chat_utils"),
    *("vllm.entrypoints.chat_utils", "vllm.entrypoints.serve.utils.chat_utils", "vllm.entrypoints.llm"),
)

# Arguments of the engine that the suite decides (its model), of the server alone, or that the harness needs otherwise.
_NOT_TAKEN = frozenset(
    ("model", "revision", "code_revision", "served_model_name", "hf_token", "download_dir", "disable_log_stats")
)
# Of the server alone, and yet it is in the text that the engine is given.
_TEMPLATE = "chat_template"
_RENDERING = (_TEMPLATE, "default_chat_template_kwargs", "chat_template_content_format")
_REFUSED = {
    "config": "names a file of flags: write them out",
    "worker_extension_cls": "is taken: the harness extends the workers itself",
}


@dataclasses.dataclass(frozen=True)
class Served:
    # For `LLM`, by the names of its arguments.
    args: Mapping[str, Any]
    # The same as JSON, for the record.
    told: Mapping[str, Any]
    # Flags that were left out: what only concerns the server.
    dropped: list[str]
    # How the server renders messages.
    rendering: Mapping[str, Any]


NOTHING = Served({}, {}, [], {})


def parse(words: Sequence[str], place: str, own: Mapping[str, Any]) -> Served:
    """@param words flags and their values, without the model's
    @param place of `engine.serve` in the suite
    @param own `engine.args`, which win
    @raises HarnessError `engine-rejected`, with the flag and what the parser said
    """
    # The parser would open it by itself.
    if any(word.partition("=")[0] == "--config" for word in words):
        raise _rejected(place, f"`--config` {_REFUSED['config']}")
    typed, raw = _given(words, place, typed=True), _given(words, place, typed=False)
    from vllm import EngineArgs

    fields = {field.name for field in dataclasses.fields(EngineArgs)}
    for name, why in _REFUSED.items():
        if name in typed:
            raise _rejected(place, f"`{flag(name)}` {why}")
    if typed.get("data_parallel_size") not in (None, 1) and "data_parallel_size" not in own:
        raise _rejected(place, "`--data-parallel-size`: replicas compute apart: `engine.args: {data_parallel_size: 1}`")
    taken = {name: value for name, value in typed.items() if name in fields and name not in _NOT_TAKEN}
    rendering = {name: typed[name] for name in _RENDERING if typed.get(name) is not None}
    dropped = [flag(name) for name in typed if name not in taken and name not in rendering]
    told = {name: _json(value, raw.get(name)) for name, value in {**taken, **rendering}.items()}
    if _TEMPLATE in rendering:
        rendering[_TEMPLATE] = _template(rendering[_TEMPLATE], place)
    return Served(taken, told, sorted(dropped), rendering)


def _given(words: Sequence[str], place: str, *, typed: bool) -> dict[str, Any]:
    """What the words give, and nothing else; not `typed`: as it was written."""
    parser = _parser(place)
    for action in parser._actions:
        # So that what was not given is not there.
        action.default = argparse.SUPPRESS
        if not typed:
            action.type = None
            action.choices = None
    namespace: dict[str, Any] = vars(parser.parse_args(list(words)))
    if namespace.pop("model_tag", None) is not None:
        raise _rejected(place, "a word stands where no value belongs")
    return namespace


def _parser(place: str) -> Any:
    base = _of(_PARSERS, "FlexibleArgumentParser")
    make = _of(_SERVERS, "make_arg_parser")

    class Parser(base):  # type: ignore[misc, valid-type]
        def error(self, message: str) -> NoReturn:
            raise _rejected(place, f"vLLM's own parser says: {_without_values(message, self)}")

        def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
            raise _rejected(place, message or "the command line asks for help, and for no server")

    # Half a name would hide what it stands for.
    return make(Parser(prog="vllm serve", add_help=False, allow_abbrev=False))


def _of(modules: Sequence[str], name: str) -> Any:
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise HarnessError("engine-rejected", f"`engine.serve`: this vLLM has no `{name}` where it is known to be")


def _without_values(message: str, parser: Any) -> str:
    """What was not recognised may be a secret, but for its flag."""
    start = "unrecognized arguments: "
    if not message.startswith(start):
        return message
    known = [option for action in parser._actions for option in action.option_strings]
    flags = [word.partition("=")[0] for word in message[len(start) :].split() if word.startswith("-")]
    return "; ".join(_suggest(flag, known) for flag in flags) or "a word stands where no value belongs"


def _suggest(flag: str, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(flag, known, n=1)
    return f"unrecognized arguments: {flag}" + (f"; did you mean `{nearest[0]}`?" if nearest else "")


def _template(written: str, place: str) -> str:
    """Of a file that is here, or as it was written."""
    try:
        return str(_of(_TEMPLATES, "load_chat_template")(written))
    except Exception as error:
        raise _rejected(place, f"`--chat-template`: {describe(error)}") from error


def _json(value: Any, written: Any) -> Any:
    """A configuration is an object of vLLM's: what was written says it."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        try:
            return json.loads(written)
        except (TypeError, ValueError):
            return str(written)
    return value


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _rejected(place: str, what: str) -> HarnessError:
    return HarnessError("engine-rejected", f"engine.serve ({place}): {what}")
