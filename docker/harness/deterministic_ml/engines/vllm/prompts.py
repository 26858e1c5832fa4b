"""From a prompt to token ids, as vLLM's own API does it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timezone, tzinfo
from typing import Any
from unittest import mock

# More than any context: a text to be scored may be longer than the model's, and is cut off afterwards.
_ANY_LENGTH = {"max_length": 1 << 30}


def token_ids(llm: Any, content: Mapping[str, Any], clock: int) -> list[int]:
    """Renders and tokenises, by the functions that `LLM.generate` and `LLM.chat` call."""
    if "text" in content:
        prompt = llm._preprocess_cmpl_one(content["text"], dict(_ANY_LENGTH))
    else:
        with frozen(clock):
            prompt = llm._preprocess_chat_one(content["messages"], tokenization_kwargs=dict(_ANY_LENGTH))
    return list(prompt["prompt_token_ids"])


def frozen(clock: int) -> AbstractContextManager[object]:
    """The clock of chat templates stands still.

    A template's only clock is `strftime_now`, which asks the `datetime` of its module; since transformers 5.2x a
    variable of that name cannot take its place. Should the module lose it, this raises: silence would be a daily drift.
    """
    from transformers.utils import chat_template_utils

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Frozen:
            now = cls.fromtimestamp(clock, timezone.utc)
            return now.replace(tzinfo=None) if tz is None else now.astimezone(tz)

    return mock.patch.object(chat_template_utils, "datetime", Frozen)
