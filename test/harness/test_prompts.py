"""What a model cannot be asked, told before a weight is read: with a real tokenizer and odd templates."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import support
from deterministic_ml.engines.common import prompts
from deterministic_ml.harness.errors import HarnessError
from drive import CLOCK

MODEL = Path(__file__).resolve().parents[2] / ".cache" / "models" / "SmolLM2-135M-Instruct"
NEEDS = importlib.util.find_spec("transformers") is None or not (MODEL / "config.json").exists()
ALTERNATE = "{% if messages[0].role != 'user' %}{{ raise_exception('roles must alternate') }}{% endif %}Hello"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
CALLED = [{"role": "user", "content": "Rain?"}, {"role": "assistant", "content": "", "tool_calls": [CALL]}]
# Prints whatever it is given.
PRINTS = "{% for m in messages %}{{ m | tojson }}\n{% endfor %}{{ tools | tojson }} {{ enable_thinking }}"
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def setUpModule() -> None:
    if NEEDS:
        raise unittest.SkipTest("NEEDS transformers and a model: npm run setup, then run with the engine's Python")


def text(name: str, content: str, scored: bool = False) -> dict[str, Any]:
    return {"id": name, "input": {"text": content}, "isScored": scored}


def conversation(name: str, **content: Any) -> dict[str, Any]:
    """As the host hands on what is more than roles and texts."""
    content.setdefault("messages", [{"role": "user", "content": "Hello"}])
    return {"id": name, "input": {"conversation": json.dumps(content)}, "isScored": False}


def ids(name: str, *tokens: int) -> dict[str, Any]:
    return {"id": name, "input": {"token-ids": list(tokens)}, "isScored": False}


def chat(name: str, role: str = "user") -> dict[str, Any]:
    return {"id": name, "input": {"messages": [{"role": role, "content": "Hello"}]}, "isScored": False}


class Refusals(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        for file in MODEL.iterdir():
            if file.suffix != ".safetensors":
                shutil.copy(file, self.folder)

    def template(self, content: str | None) -> None:
        (self.folder / "chat_template.jinja").unlink()
        if content is not None:
            (self.folder / "chat_template.jinja").write_text(content)

    def refused(self, *asked: dict[str, Any], limit: int | None = None, **how: Any) -> dict[str, str]:
        args = how.pop("args", {})
        try:
            prompts.refuse_prompts(
                str(self.folder), {"command": "load", "args": args, "prompts": asked, "clock": CLOCK}, limit, **how
            )
        except prompts.PromptsRefused as error:
            self.assertEqual(error.code, "prompt-rejected")
            return {one["id"]: one["message"] for one in error.prompts}
        return {}

    @support.odd(
        "NUL, emoji of several parts, text from right to left, blanks alone",
        "let through by the tokenizer",
    )
    def test_what_can_be_asked_is_let_through(self) -> None:
        odd = ["\u0000", "🧑‍🚀" * 50, "שלום", "a\r\nb\tc", "\ufeffbom", "  "]
        self.assertEqual(self.refused(chat("sky"), *(text(f"odd-{i}", one) for i, one in enumerate(odd))), {})

    @support.odd(
        "a text that is no token, or more tokens than `max_model_len`",
        "`prompt-rejected` with its line, before weights are read; a text under `score` is cut off",
    )
    def test_all_that_is_wrong_is_told_at_once(self) -> None:
        told = self.refused(text("empty", ""), text("long", "word " * 300), text("fine", "word"), limit=256)
        self.assertEqual(list(told), ["empty", "long"])
        self.assertIn("no token", told["empty"])
        self.assertRegex(told["long"], r"it has 30\d tokens, and the model takes 256")

    def test_a_text_to_be_scored_may_be_longer(self) -> None:
        self.assertEqual(self.refused(text("passage", "word " * 300, scored=True), limit=256), {})

    @support.odd(
        "`messages`, and a model without a chat template",
        "`prompt-rejected` with its line; not where `vllm` has a template for it",
    )
    def test_no_template(self) -> None:
        self.template(None)
        self.assertIn("brings no chat template", self.refused(chat("sky"), text("fine", "a"))["sky"])
        # The engine has one for such a model.
        self.assertEqual(self.refused(chat("sky"), own_template=True), {})

    @support.odd(
        "a chat template that raises an error",
        "`prompt-rejected` with its line and the template's words",
    )
    def test_a_template_that_refuses(self) -> None:
        self.template(ALTERNATE)
        told = self.refused(chat("sky", role="assistant"), chat("fine"))
        self.assertEqual(list(told), ["sky"])
        self.assertIn("roles must alternate", told["sky"])

    @support.odd(
        "a chat template that does not end",
        "`prompt-rejected` with its line, after 20 s",
    )
    def test_a_template_that_does_not_end(self) -> None:
        self.template(LOOP)
        with mock.patch.object(prompts, "LIMIT_S", 0.2):
            self.assertIn("had not ended", self.refused(chat("sky"))["sky"])

    @support.odd(
        "a token id beyond the vocabulary",
        "`prompt-rejected` with its line",
    )
    def test_token_ids_beyond_the_vocabulary(self) -> None:
        told = self.refused(ids("far", 1, 49152), ids("last", 49151), ids("long", *[1] * 300), limit=256)
        self.assertEqual(list(told), ["far", "long"])
        self.assertEqual(told["far"], "token 49152 lies beyond this model's vocabulary of 49152")
        self.assertIn("it has 300 tokens", told["long"])

    @support.odd(
        "`tools`, `tool_calls`, or a variable, of which the chat template makes nothing",
        "`prompt-rejected` with its line",
    )
    def test_what_a_template_would_pass_over(self) -> None:
        told = self.refused(
            conversation("tools", tools=[TOOL]),
            conversation("slip", chat_template_kwargs={"add_generation_promt": True}),
            conversation("parts", messages=[{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]),
            conversation("calls", messages=CALLED),
        )
        self.assertEqual(list(told), ["tools", "slip", "calls"])
        self.assertEqual(told["calls"], "it has `tool_calls`, and the model's chat template makes nothing of them")
        self.assertIn("makes nothing of them", told["tools"])
        self.assertIn("did you mean `add_generation_prompt`?", told["slip"])

    def test_what_a_template_takes(self) -> None:
        self.template("{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% if enable_thinking %}Think.{% endif %}")
        asked = [
            conversation("tools", tools=[TOOL]),
            conversation("thinking", chat_template_kwargs={"enable_thinking": True}),
        ]
        self.assertEqual(self.refused(*asked), {})
        self.template("{% for m in messages %}{{ m.tool_calls[0].function.name if m.tool_calls }}{% endfor %}")
        self.assertEqual(self.refused(conversation("calls", messages=CALLED)), {})
        # One that cannot do without them takes them too.
        self.template("{% for m in messages %}{{ m.tool_calls[0].function.name }}{% endfor %}")
        self.assertEqual(self.refused(conversation("calls", messages=CALLED[1:])), {})
        self.template("{% if enable_thinking %}Think.{% endif %}")
        self.assertIn("no token", self.refused(conversation("silent", chat_template_kwargs={"enable_thinking": False}))
                      ["silent"])  # fmt: skip

    @support.odd(
        "a LoRA adapter that is not there, is pickled, or has too high a rank",
        "`prompt-rejected` with its line",
    )
    def test_adapters_that_cannot_be_asked(self) -> None:
        def adapted(name: str) -> dict[str, Any]:
            return {"id": name, "input": {"text": "Hello", "adapter": f"adapters/{name}"}, "isScored": False}

        for name, config in {"fine": '{"r": 16}', "wide": '{"r": 32}', "odd": "{}", "pickled": '{"r": 8}'}.items():
            folder = self.folder / "adapters" / name
            folder.mkdir(parents=True)
            (folder / "adapter_config.json").write_text(config)
            (folder / f"adapter_model.{'bin' if name == 'pickled' else 'safetensors'}").touch()
        asked = [adapted(name) for name in ("fine", "wide", "odd", "pickled", "gone")]
        told = self.refused(*asked)
        self.assertEqual(list(told), ["wide", "odd", "pickled", "gone"])
        self.assertEqual(told["wide"], "its adapter has the rank 32: `max_lora_rank` under `engine.args` is 16")
        self.assertIn("without a rank", told["odd"])
        self.assertIn("no adapter_model.safetensors below the model", told["pickled"])
        self.assertIn("no adapter_config.json and no adapter_model.safetensors", told["gone"])
        self.assertNotIn("wide", self.refused(*asked, args={"max_lora_rank": 32}))

    def test_another_tokenizer_is_not_judged_by_this_one(self) -> None:
        self.template(None)
        self.assertEqual(self.refused(chat("sky"), args={"tokenizer": "other"}), {})
        # Files of a kind that only an engine reads.
        self.without_tokenizer()
        (self.folder / "tekken-tokens").write_text("of another library")
        self.assertEqual(self.refused(chat("sky")), {})

    def without_tokenizer(self) -> None:
        for file in self.folder.glob("*token*"):
            file.unlink()

    @support.odd(
        "a model whose tokenizer was not fetched, or is cut off",
        "`model-missing`, which names the file, before weights are read",
    )
    def test_a_tokenizer_that_is_not_there(self) -> None:
        (self.folder / "tokenizer.json").write_text('{"version": "1.0", "added')
        with self.assertRaisesRegex(HarnessError, r"^tokenizer\.json of the model is no JSON") as raised:
            self.refused(text("fine", "a"))
        self.assertEqual(raised.exception.code, "model-missing")
        self.without_tokenizer()
        with self.assertRaisesRegex(HarnessError, "no file of a tokenizer lies with the model") as raised:
            self.refused(text("fine", "a"))
        self.assertEqual(raised.exception.code, "model-missing")


class Rendered(unittest.TestCase):
    def test_a_conversation_as_templates_are_written_for(self) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(MODEL, local_files_only=True)
        tokenizer.chat_template = PRINTS
        chat = prompts.chat_of(
            conversation(
                "weather",
                messages=[
                    {"role": "user", "content": [{"type": "text", "text": "Oslo?"}, {"type": "text", "text": "Now."}]},
                    {"role": "assistant", "tool_calls": [CALL]},
                    {"role": "tool", "tool_call_id": "a", "content": "rain"},
                ],
                tools=[TOOL],
                chat_template_kwargs={"enable_thinking": False},
            )["input"]
        )
        assert chat is not None
        lines = tokenizer.decode(prompts.rendered(tokenizer, chat, CLOCK)).split("\n")
        self.assertEqual(json.loads(lines[0]), {"role": "user", "content": "Oslo?\nNow."})
        self.assertEqual(json.loads(lines[1])["tool_calls"][0]["function"]["arguments"], {"city": "Oslo"})
        self.assertEqual(json.loads(lines[2]), {"role": "tool", "tool_call_id": "a", "content": "rain"})
        self.assertEqual(lines[3], f"{json.dumps([TOOL])} False")


class ContextLength(unittest.TestCase):
    def length(self, asked: object = None, **config: Any) -> int | None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "config.json").write_text(json.dumps(config))
            return prompts.context_length(folder, asked)

    def test_is_what_was_asked_for_or_the_models(self) -> None:
        self.assertEqual(self.length(512, max_position_embeddings=2048), 512)
        self.assertEqual(self.length(max_position_embeddings=2048), 2048)
        self.assertEqual(self.length(max_position_embeddings=2048, rope_parameters={"rope_type": "default"}), 2048)

    def test_is_unknown_where_an_engine_works_it_out(self) -> None:
        self.assertIsNone(self.length("auto", max_position_embeddings=2048))
        self.assertIsNone(self.length(-1, max_position_embeddings=2048))
        self.assertIsNone(self.length(max_position_embeddings=2048, rope_scaling={"rope_type": "yarn", "factor": 4}))
        self.assertIsNone(self.length())


if __name__ == "__main__":
    unittest.main()
