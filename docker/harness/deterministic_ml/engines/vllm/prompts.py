"""From a prompt to token ids, as vLLM's own API does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..common.clock import frozen
from ..common.prompts import chat_of

# More than any context: a text to be scored may be longer than the model's, and is cut off afterwards.
_ANY_LENGTH = {"max_length": 1 << 30}
# What the server's flags are called there.
_SERVER = {
    "chat_template": "chat_template",
    "default_chat_template_kwargs": "chat_template_kwargs",
    "chat_template_content_format": "chat_template_content_format",
}


def token_ids(llm: Any, content: Mapping[str, Any], clock: int, rendering: Mapping[str, Any]) -> list[int]:
    """Renders and tokenises, by the functions that `LLM.generate` and `LLM.chat` call.

    @param rendering as a server's flags name it
    """
    if "token-ids" in content:
        return list(content["token-ids"])
    chat = chat_of(content)
    if chat is None:
        prompt = llm._preprocess_cmpl_one(content["text"], dict(_ANY_LENGTH))
        return list(prompt["prompt_token_ids"])
    further = {_SERVER[name]: value for name, value in rendering.items()}
    if chat.further:
        # A request's win over a server's, as they do there.
        further["chat_template_kwargs"] = {**further.get("chat_template_kwargs", {}), **chat.further}
    if chat.tools is not None:
        further["tools"] = chat.tools
    with frozen(clock):
        prompt = llm._preprocess_chat_one(chat.messages, tokenization_kwargs=dict(_ANY_LENGTH), **further)
    return list(prompt["prompt_token_ids"])
