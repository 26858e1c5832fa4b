"""What a model cannot be asked, by its tokenizer and its template: told of all prompts before a weight is read."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
        # The engine may know more of it, and says so itself if it does not.
        print(f"prompts were not looked at beforehand: {describe(error)}")
        return
    if own_template and not tokenizer.chat_template:
        asked = [one for one in asked if "messages" not in one["input"]]
    reasons = [(one["id"], _reason(tokenizer, one, command["clock"], limit)) for one in asked]
    refused = [{"id": name, "message": reason} for name, reason in reasons if reason is not None]
    if refused:
        raise PromptsRefused(refused)


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


def _reason(tokenizer: Any, one: Mapping[str, Any], clock: int, limit: int | None) -> str | None:
    content = one["input"]
    if "messages" in content:
        if not tokenizer.chat_template:
            return "it is written as `messages`, and the model brings no chat template"
        try:
            with frozen(clock), _in_time():
                ids = tokenizer.apply_chat_template(content["messages"], add_generation_prompt=True, return_dict=False)
        except TooLong:
            return f"the model's chat template had not ended after {LIMIT_S} s"
        except Exception as error:
            return f"the model's chat template refuses it: {describe(error)}"
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
