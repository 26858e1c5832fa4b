"""The Python of docs/determinism, run statement by statement; what needs more than a CPU and PyTorch is read only."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import re
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import support

GUIDE = Path(support.__file__).resolve().parents[2] / "docs" / "determinism"
# What a block may say that it needs, after "python": it is not run then.
NEEDS = {"gpu", "vllm", "tensorrt_llm"}


class Block(NamedTuple):
    page: str
    line: int
    needs: str
    code: str

    @property
    def tree(self) -> ast.Module:
        """Its statements, with the lines of the page."""
        return ast.increment_lineno(ast.parse(self.code, self.page), self.line)


def blocks() -> Iterator[Block]:
    for page in sorted(GUIDE.glob("*.md")):
        text = page.read_text()
        for found in re.finditer(r"^```python(.*)\n([\s\S]*?)^```$", text, re.MULTILINE):
            yield Block(page.name, text.count("\n", 0, found.start()) + 1, found[1].strip(), found[2])


def run(block: Block) -> str:
    """@returns what it printed; an error names the page's line"""
    namespace: dict[str, Any] = {"__name__": "guide"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for statement in block.tree.body:
            single = ast.Module([statement], type_ignores=[])
            try:
                exec(compile(single, block.page, "exec"), namespace)
            except Exception as error:
                raise AssertionError(f"{block.page}:{statement.lineno}: {error!r}") from error
    return printed.getvalue()


class GuideTest(unittest.TestCase):
    @unittest.skipIf(importlib.util.find_spec("torch") is None, "NEEDS torch: run with the engine's Python")
    def test_every_block_runs_on_a_cpu(self) -> None:
        printed = {(block.page, block.line): run(block) for block in blocks() if block.needs == ""}
        self.assertGreater(len(printed), 9)
        told = "".join(printed.values())
        # What the text beside them says that they show.
        self.assertIn("tensor(0.) tensor(1.)", told)
        self.assertIn("near: True the same bits: False", told)

    def test_others_say_what_they_need_and_parse(self) -> None:
        for block in blocks():
            self.assertIn(block.needs, NEEDS | {""}, f"{block.page}:{block.line}")
            self.assertTrue(block.tree.body, f"{block.page}:{block.line}")

    @unittest.skipIf(importlib.util.find_spec("vllm") is None, "NEEDS vLLM: run with the engine's Python")
    def test_vllm_has_the_arguments_that_its_page_names(self) -> None:
        spec = importlib.util.find_spec("vllm")
        assert spec is not None and spec.origin is not None
        engine = (Path(spec.origin).parent / "engine" / "arg_utils.py").read_text()
        sampling = (Path(spec.origin).parent / "sampling_params.py").read_text()
        named = 0
        for block in blocks():
            for call in ast.walk(block.tree) if block.needs == "vllm" else ():
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                    source = {"LLM": engine, "SamplingParams": sampling}[call.func.id]
                    for keyword in call.keywords:
                        self.assertRegex(source, rf"(?m)^    {keyword.arg}: ", f"{block.page}:{call.lineno}")
                        named += 1
        self.assertGreater(named, 5)


if __name__ == "__main__":
    unittest.main()
