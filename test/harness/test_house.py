"""The harness's own house: who imports whom."""

from __future__ import annotations

import ast
import unittest
from collections.abc import Iterator
from pathlib import Path

import support  # noqa: F401

HARNESS = Path(__file__).parents[2] / "docker" / "harness"


def imported(module: str, path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """The harness's modules that one imports, wherever in it and if only for their types."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in modules)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for name in node.names:
                target = f"{origin}.{name.name}"
                yield target if target in modules else origin


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """One of the circles; empty where there is none."""
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return []
        found = next((one for to in sorted(arrows.get(module, ())) if (one := walk(to, [*way, module]))), [])
        done.add(module)
        return found

    return next((one for module in sorted(arrows) if (one := walk(module, []))), [])


class HouseTest(unittest.TestCase):
    def test_no_module_imports_itself_through_others_nor_their_types(self) -> None:
        files = sorted(HARNESS.glob("deterministic_ml/**/*.py"))
        names = [".".join(file.relative_to(HARNESS).with_suffix("").parts).removesuffix(".__init__") for file in files]
        modules = dict(zip(names, files, strict=True))
        arrows = {
            module: {to for to in imported(module, path, modules) if to in modules and to != module}
            for module, path in modules.items()
        }
        self.assertIn("deterministic_ml.engines.vllm.passes.force", arrows["deterministic_ml.engines.vllm.passes"])
        self.assertEqual(circle(arrows), [])

    def test_a_circle_is_found(self) -> None:
        self.assertEqual(circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}), ["b", "c", "b"])


if __name__ == "__main__":
    unittest.main()
