"""What a model cannot be asked, by its tokenizer and its template: told of all prompts before a weight is read."""

from __future__ import annotations

import difflib
import json
import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from ...harness.channel import Command
from ...harness.errors import HarnessError, describe
from .clock import frozen

# Seconds for one prompt: a template is a program, and one that loops would hold the GPU's runner until the deadline.
LIMIT_S = 20

# With one of these another tokenizer or template is asked than the one that lies with the model.
_OTHERS = ("tokenizer", "tokenizer_mode", "tokenizer_revision", "skip_tokenizer_init", "hf_overrides", "chat_template")


@dataclass(frozen=True)
class Chat:
    """What a chat template is given."""

    messages: list[Any]
    tools: list[Any] | None
    # Variables of the template itself.
    further: Mapping[str, Any]


def chat_of(content: Mapping[str, Any]) -> Chat | None:
    """Of a prompt that a template renders, in the order in which the suite has it."""
    if "messages" in content:
        return Chat(content["messages"], None, {})
    if "conversation" in content:
        told = json.loads(content["conversation"])
        return Chat(told["messages"], told.get("tools"), told.get("chat_template_kwargs") or {})
    return None


def rendered(tokenizer: Any, chat: Chat, clock: int) -> list[int]:
    """By the tokenizer's own template, with what chat APIs hand on made what templates are written for: parts of text
    joined by line breaks, arguments of calls as mappings."""
    with frozen(clock):
        ids = tokenizer.apply_chat_template(
            [_plain(message) for message in chat.messages],
            tools=chat.tools,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
            **chat.further,
        )
    return list(ids)


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content", "")
    text = content if isinstance(content, str) else "\n".join(part["text"] for part in content)
    calls = message.get("tool_calls")
    return {**message, "content": text, **({} if calls is None else {"tool_calls": [_called(call) for call in calls]})}


def _called(call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = call["function"]["arguments"]
    parsed = json.loads(arguments) if isinstance(arguments, str) else arguments
    return {**call, "function": {**call["function"], "arguments": parsed}}


class PromptsRefused(HarnessError):
    """`prompts` has each that cannot be asked, and why."""

    def __init__(self, prompts: Sequence[Mapping[str, str]]) -> None:
        count = len(prompts)
        super().__init__("prompt-rejected", f"{count} prompt{'' if count == 1 else 's'} cannot be asked of this model")
        self.prompts = [{"id": one["id"], "message": one["message"][:1024]} for one in prompts]


class TooLong(BaseException):
    """A template that does not end. No `except Exception` of a template's machinery may stop it."""


def refuse_prompts(model: str, command: Command, limit: int | None, own_template: bool = False) -> None:
    """Only what is certain is refused: nothing where the engine would use another tokenizer or template.

    @param limit tokens of a prompt and its answer, None where that is not known
    @param own_template whether the engine has a template for a model that brings none
    @raise PromptsRefused
    """
    asked = command.get("prompts")
    if not asked or any(command["args"].get(name) is not None for name in _OTHERS):
        return
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        _refuse_tokenizer(Path(model))
        # The engine may know more of it, and says so itself if it does not.
        print(f"prompts were not looked at beforehand: {describe(error)}")
        return
    if own_template and not tokenizer.chat_template:
        asked = [one for one in asked if chat_of(one["input"]) is None]
    size = _vocabulary(model, tokenizer)
    reasons = [
        (one["id"], _no_adapter(model, one, command["args"]) or _reason(tokenizer, one, command["clock"], limit, size))
        for one in asked
    ]
    refused = [{"id": name, "message": reason} for name, reason in reasons if reason is not None]
    if refused:
        raise PromptsRefused(refused)


# What a tokenizer's files are called, whatever kind it is; a GGUF file brings its own.
_OF_TOKENIZERS = re.compile(r"token|vocab|merges|spiece|sentencepiece|bpe|\.(model|gguf)$")


def _refuse_tokenizer(model: Path) -> None:
    """One that was not fetched, or was cut off: what a library makes of either sends people elsewhere."""
    names = sorted(file.name for file in model.iterdir() if _OF_TOKENIZERS.search(file.name))
    if not names:
        raise HarnessError("model-missing", "no file of a tokenizer lies with the model, such as tokenizer.json")
    for name in names:
        try:
            if name.endswith(".json"):
                json.loads((model / name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise HarnessError("model-missing", f"{name} of the model is no JSON ({error})") from error


def context_length(model: str, asked: object) -> int | None:
    """Tokens at most, as the arguments say it or else the model; None where an engine has to work it out.

    @param asked the engine's own argument for it
    """
    if asked is not None:
        return asked if isinstance(asked, int) and asked > 0 else None
    config = json.loads(Path(model, "config.json").read_text(encoding="utf-8"))
    told = config.get("max_position_embeddings")
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {"rope_type": "default"}
    simple = rope.get("rope_type") == "default" and not config.get("text_config")
    return told if simple and isinstance(told, int) else None


# Where nothing is said, as the engine that takes adapters has it.
_LORA_RANK = 16


def _no_adapter(model: str, one: Mapping[str, Any], args: Mapping[str, Any]) -> str | None:
    """Why the adapter that a prompt names cannot be asked."""
    name = one["input"].get("adapter")
    if name is None:
        return None
    folder = Path(model, name)
    missing = [file for file in ("adapter_config.json", "adapter_model.safetensors") if not (folder / file).is_file()]
    if missing:
        return f"its adapter `{name}` has no {' and no '.join(missing)} below the model's folder"
    try:
        rank = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["r"]
    except (ValueError, KeyError, TypeError):
        return f"its adapter `{name}` has an adapter_config.json without a rank"
    most = args.get("max_lora_rank") or _LORA_RANK
    return f"its adapter has the rank {rank}: `max_lora_rank` under `engine.args` is {most}" if rank > most else None


def _reason(tokenizer: Any, one: Mapping[str, Any], clock: int, limit: int | None, vocabulary: int) -> str | None:
    content = one["input"]
    chat = chat_of(content)
    if chat is not None:
        if not tokenizer.chat_template:
            return "it is written as `messages`, and the model brings no chat template"
        if unused := _unused(tokenizer.chat_template, chat):
            return unused
        try:
            with _in_time():
                ids = rendered(tokenizer, chat, clock)
                if ignored := _ignored(tokenizer, chat, clock, ids):
                    return ignored
        except TooLong:
            return f"the model's chat template had not ended after {LIMIT_S} s"
        except Exception as error:
            return f"the model's chat template refuses it: {describe(error)}"
    elif "token-ids" in content:
        ids = content["token-ids"]
        if (highest := max(ids)) >= vocabulary:
            return f"token {highest} lies beyond this model's vocabulary of {vocabulary}"
    else:
        try:
            ids = tokenizer(content["text"])["input_ids"]
        except Exception as error:
            return f"the model's tokenizer refuses it: {describe(error)}"
    if not ids:
        return "it is no token to the model's tokenizer: there is nothing to go on from"
    # A text to be scored is cut off where it is too long.
    if limit is not None and len(ids) >= limit and not one["isScored"]:
        return f"it has {len(ids)} tokens, and the model takes {limit} with its answer"
    return None


def _vocabulary(model: str, tokenizer: Any) -> int:
    """Ids that it may have: a model's are often more than its tokenizer's."""
    config = json.loads(Path(model, "config.json").read_text(encoding="utf-8"))
    told = (config.get("text_config") or config).get("vocab_size")
    return max(len(tokenizer), told if isinstance(told, int) else 0)


def _unused(template: object, chat: Chat) -> str | None:
    """What the template would pass over without a word. Where its variables cannot be told, nothing is said."""
    known = _variables(template)
    if known is None:
        return None
    if chat.tools is not None and "tools" not in known:
        return "it has `tools`, and the model's chat template makes nothing of them"
    for name in chat.further:
        if name not in known:
            nearest = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean `{nearest[0]}`?" if nearest else ""
            return f"`{name}` under `chat_template_kwargs` is no variable of the model's chat template{hint}"
    return None


def _ignored(tokenizer: Any, chat: Chat, clock: int, ids: list[int]) -> str | None:
    """Calls that the template passes over without a word: without them it gives the same tokens."""
    if not any(message.get("tool_calls") for message in chat.messages):
        return None
    without = [{key: value for key, value in message.items() if key != "tool_calls"} for message in chat.messages]
    try:
        same = rendered(tokenizer, Chat(without, chat.tools, chat.further), clock) == ids
    except Exception:
        # It misses them.
        return None
    return "it has `tool_calls`, and the model's chat template makes nothing of them" if same else None


def _variables(template: object) -> set[str] | None:
    """Names that a template takes from outside."""
    if not isinstance(template, str):
        return None
    from jinja2 import Environment, TemplateError, meta

    try:
        return set(meta.find_undeclared_variables(Environment(extensions=["jinja2.ext.loopcontrols"]).parse(template)))
    except TemplateError:
        # One with tags of its own.
        return None


@contextmanager
def _in_time() -> Iterator[None]:
    """Only the main thread can be called away from a loop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
