"""Shared by the tests of the harness: a host, and harnesses whose engine is a few lines of Python."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "fixtures")]
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docker" / "harness"))

from drive import Host, harness_files  # noqa: E402


def odd(what: str, comes: str) -> Callable[[T], T]:
    """As test/support/odd.ts: a row of the table in docs/troubleshooting.md, which is made of the source."""
    return lambda test: test


def tried(name: str, what: str, holds: str) -> Callable[[T], T]:
    """As test/support/tried.ts: a row of the first table in docs/security.md."""
    return lambda test: test


def fault(name: str, what: str, comes: str) -> Callable[[T], T]:
    """As test/support/fault.ts: a row of the second table in docs/security.md."""
    return lambda test: test


class Forks:
    """Imports an engine once for all tests of a file that need one more, one at a time.

    A fork computes what a process of its own does: test_engine.py.
    """

    def __init__(self, task: Callable[[], dict[str, Any]], environment: dict[str, str]) -> None:
        self._task = task
        self._environment = environment
        self._parent: Host | None = None

    def fork(self, ends: Callable[[Callable[[], None]], object]) -> Host:
        """A lifetime. @param ends takes what ends it, such as the `addCleanup` of a test"""
        parent = self._parent or self._import()
        child = parent.fork()

        def end() -> None:
            child.send("end")
            child.expect("done")
            unfit = parent.expect("ready")["unfit"]
            assert unfit is None, unfit

        ends(end)
        return child

    def _import(self) -> Host:
        folder = tempfile.TemporaryDirectory()
        unittest.addModuleCleanup(folder.cleanup)
        parent = Host(
            self._task(),
            environment=self._environment,
            stderr=subprocess.DEVNULL,
            warm=True,
            scratch=Path(folder.name),
        )
        unittest.addModuleCleanup(parent.close)
        unfit = parent.expect("ready")["unfit"]
        assert unfit is None, unfit
        self._parent = parent
        return parent


def engine_host(model: Path, body: str = "", **options: Any) -> Host:
    """A host whose harness has a further engine, `toy`: `body` runs when it loads a model."""
    # Its package is the standard library's, so that the real torch is neither needed nor loaded.
    task = {"engine": "toy", "model": str(model), "knownDigests": {}}
    return Host(task, files=toy_files(body), **options)


def toy_files(body: str = "", imports: str | None = None) -> dict[str, str]:
    """The harness with `toy`. @param imports what it does to be imported apart from a load, if it can"""
    files = harness_files()
    name = "deterministic_ml/engines/__init__.py"
    listed = files[name].replace("ENGINES = (\n", 'ENGINES = (\n    "toy",\n')
    assert listed != files[name], "the list of engines looks otherwise than here"
    files[name] = listed
    toy = _TOY.replace("BODY", _indented(body))
    if imports is not None:
        toy += f"\n\ndef preload(model):\n    {_indented(imports)}\n"
    files["deterministic_ml/engines/toy.py"] = toy
    return files


def _indented(body: str) -> str:
    return body.strip().replace("\n", "\n    ") or "pass"


def tiny_model(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "toy"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 4096)
    return folder


def stub_torch(folder: Path, gpus: int = 0) -> None:
    """A torch that only tells facts, in no time."""
    (folder / "torch").mkdir(parents=True)
    (folder / "torch" / "__init__.py").write_text(_TORCH.replace("GPUS", str(gpus)))


_TORCH = """
from types import SimpleNamespace as Of

__config__ = Of(show=lambda: "")
backends = Of(cpu=Of(get_cpu_capability=lambda: "AVX2"), cudnn=Of(version=lambda: 91000))
version = Of(cuda="13.0" if GPUS else None, hip=None)
cuda = Of(
    is_available=lambda: GPUS > 0,
    device_count=lambda: GPUS,
    get_device_properties=lambda i: Of(
        name="NVIDIA H100 80GB HBM3", uuid="00000000-0000-0000-0000-000000000000", major=9, minor=0,
        multi_processor_count=132, total_memory=85_000_000_000,
    ),
)
"""

_TOY = """
import ctypes, json, os, subprocess, sys, time
from .observation import Observation, Pass, decoded

NAME = "toy"
PACKAGE = "json"
DISTRIBUTIONS = ()
VARIABLES = ()


def load(model, command, scratch):
    BODY
    return Toy()


class Toy:
    dropped = []
    effective = {"dtype": "float32"}
    perturbed = None

    def run(self, command, progress):
        channels = decoded(
            prompt_tokens=[1, 2], tokens=[7], logprobs=[-0.5], top=[{7: -0.5, 8: -1.0}], top_k=command["topK"], text="x"
        )
        observations = [
            Observation(request["id"], "length", channels) for request in command["requests"]
        ]
        witness = dict.fromkeys(
            ["steps", "generatedTokens", "promptTokens", "maxRunning", "cachedTokens", "preemptions", "requests"]
        )
        return Pass({"process": "1", **witness}, {}, observations)

    def vocabulary(self, ids):
        return {token: chr(token) for token in ids}

    def variables(self, names):
        return []

    def close(self):
        pass
"""
