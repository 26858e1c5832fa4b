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

import support  # noqa: F401
from deterministic_ml.engines.common import prompts
from drive import CLOCK

MODEL = Path(__file__).resolve().parents[2] / ".cache" / "models" / "SmolLM2-135M-Instruct"
NEEDS = importlib.util.find_spec("transformers") is None or not (MODEL / "config.json").exists()
ALTERNATE = "{% if messages[0].role != 'user' %}{{ raise_exception('roles must alternate') }}{% endif %}Hello"
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def setUpModule() -> None:
    if NEEDS:
        raise unittest.SkipTest("NEEDS transformers and a model: npm run setup, then run with the engine's Python")


def text(name: str, content: str, scored: bool = False) -> dict[str, Any]:
    return {"id": name, "input": {"text": content}, "isScored": scored}


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

    def test_what_can_be_asked_is_let_through(self) -> None:
        odd = ["\u0000", "🧑‍🚀" * 50, "שלום", "a\r\nb\tc", "\ufeffbom", "  "]
        self.assertEqual(self.refused(chat("sky"), *(text(f"odd-{i}", one) for i, one in enumerate(odd))), {})

    def test_all_that_is_wrong_is_told_at_once(self) -> None:
        told = self.refused(text("empty", ""), text("long", "word " * 300), text("fine", "word"), limit=256)
        self.assertEqual(list(told), ["empty", "long"])
        self.assertIn("no token", told["empty"])
        self.assertRegex(told["long"], r"it has 30\d tokens, and the model takes 256")

    def test_a_text_to_be_scored_may_be_longer(self) -> None:
        self.assertEqual(self.refused(text("passage", "word " * 300, scored=True), limit=256), {})

    def test_no_template(self) -> None:
        self.template(None)
        self.assertIn("brings no chat template", self.refused(chat("sky"), text("fine", "a"))["sky"])
        # The engine has one for such a model.
        self.assertEqual(self.refused(chat("sky"), own_template=True), {})

    def test_a_template_that_refuses(self) -> None:
        self.template(ALTERNATE)
        told = self.refused(chat("sky", role="assistant"), chat("fine"))
        self.assertEqual(list(told), ["sky"])
        self.assertIn("roles must alternate", told["sky"])

    def test_a_template_that_does_not_end(self) -> None:
        self.template(LOOP)
        with mock.patch.object(prompts, "LIMIT_S", 0.2):
            self.assertIn("had not ended", self.refused(chat("sky"))["sky"])

    def test_another_tokenizer_is_not_judged_by_this_one(self) -> None:
        self.template(None)
        self.assertEqual(self.refused(chat("sky"), args={"tokenizer": "other"}), {})
        (self.folder / "tokenizer.json").write_text("{")
        self.assertEqual(self.refused(chat("sky")), {})


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
