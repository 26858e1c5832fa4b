"""The engine `script` and what it emits with, in this process and without torch."""

from __future__ import annotations

import os
import sys
import tempfile
import unittest
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy  # Kept from being imported anew by each test.
import support  # noqa: F401
from deterministic_ml.engines.script.engine import Script
from deterministic_ml.engines.script.loading import FOLDER, load_engine
from deterministic_ml.harness.errors import HarnessError
from deterministic_ml.v1 import Emitter, record

CORPUS = """
import math, os, random, sys
import numpy

calls = 0

def run(prompt, emit, scale=1):
    emit("loss", scale * len(prompt))
    emit("weights", {"a": numpy.zeros(2), "b": numpy.ones((1, 2), dtype="float32")})
    emit("said", str(prompt))

def repeats(prompt, emit): emit("drawn", [random.random(), float(numpy.random.rand())])
def counts(prompt, emit):
    global calls
    calls += 1
    emit("calls", calls)
def spoils(prompt, emit):
    emit("messages", len(prompt))
    prompt.append({})
def raises(prompt, emit): raise ValueError("boom")
def twice(prompt, emit):
    emit("a", 1)
    try: emit("a", 1)
    except Exception: pass
def nothing(prompt, emit): return 1
def exits(prompt, emit): sys.exit(3)
def odd(prompt, emit): emit("a", object())
def lazy(prompt, emit): return iter(()).__class__ and (one for one in ())
def nan(prompt, emit): emit("a", [1.0, math.nan])
def forks(prompt, emit):
    if os.fork() == 0:
        return
    emit("child", os.waitstatus_to_exitcode(os.wait()[1]))
def generates(prompt, emit): yield
def starves(prompt, emit): raise MemoryError("no room")
"""


class Sign:
    """In place of the harness's progress."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def set(self, done: int, tokens: int = 0) -> None:
        self.seen.append(done)


class Loaded(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.scratch = Path(folder.name)
        for patch in (mock.patch.dict(sys.modules, {"torch": None}), mock.patch.object(sys, "path", list(sys.path))):
            patch.start()
            self.addCleanup(patch.stop)

    def load(self, text: str = CORPUS, model: str = "", name: str = "own/corpus.py", **args: Any) -> Script:
        file = self.scratch / FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        sys.modules.pop(file.stem, None)
        given: dict[str, Any] = {
            "args": {"file": file.name, **args},
            "defaults": [],
            "perturbation": None,
            "program": name,
        }
        return load_engine(model, given, self.scratch)

    def gives(self, function: str, prompt: Any = "fox", times: int = 1, **more: Any) -> list[dict[str, Any]]:
        """Channels of each call, by name."""
        engine = self.load(function=function, **more)
        ids = [f"p{at}" for at in range(times)]
        content = {"text": prompt} if isinstance(prompt, str) else {"messages": prompt}
        requests = [{"id": name, "input": content, "observed": True} for name in ids]
        command = {"kind": "generate", "warm": False, "requests": requests, "groups": [ids]}
        self.sign = Sign()
        done = engine.run(command, self.sign)  # type: ignore[arg-type]
        self.witness = done.witness
        return [{one["name"]: one for one in given.channels} for given in done.observations]

    def code(self, work: Callable[[], object]) -> tuple[str, str]:
        with self.assertRaises(HarnessError) as caught:
            work()
        return caught.exception.code, caught.exception.message


class Calls(Loaded):
    def test_what_is_emitted_travels_by_name_as_digests_and_texts(self) -> None:
        [given] = self.gives("run", options={"scale": 2})
        self.assertEqual(list(given), ["loss", "weights", "said"])
        self.assertEqual([one["name"] for one in given["loss"]["digests"]], ["int 6"])
        names = [one["name"] for one in given["weights"]["digests"]]
        self.assertEqual(names, ["a: float64[2]", "b: float32[1, 2]"])
        self.assertEqual(given["said"], {"name": "said", "kind": "text", "text": "fox"})

    def test_each_value_is_a_sign_of_life(self) -> None:
        self.gives("run", times=2)
        self.assertEqual(self.sign.seen, [0, 0, 0, 1, 1, 1, 1, 2])

    def test_each_call_begins_with_the_same_seeds(self) -> None:
        first, second = self.gives("repeats", times=2)
        self.assertEqual(first, second)
        [other] = self.gives("repeats", seed=1)
        self.assertNotEqual(first, other)

    def test_what_a_function_keeps_or_does_to_its_prompt_is_seen(self) -> None:
        first, second = self.gives("counts", times=2)
        self.assertNotEqual(first, second)
        first, second = self.gives("spoils", prompt=[{"role": "user", "content": "hi"}], times=2)
        self.assertEqual(first, second)

    def test_the_witness_counts_calls_in_their_order(self) -> None:
        self.gives("run", times=2)
        self.assertEqual(self.witness["steps"], 2)
        self.assertEqual([(one["id"], one["order"], one["together"]) for one in self.witness["requests"]],
                         [("p0", 0, 1), ("p1", 1, 1)])  # fmt: skip

    def test_nans_are_counted(self) -> None:
        [given] = self.gives("nan")
        self.assertEqual([one["nans"] for one in given["a"]["digests"]], [0, 1])

    def test_a_child_that_comes_back_ends_there(self) -> None:
        here = os.getpid()
        [given] = self.gives("forks")
        self.assertEqual([one["name"] for one in given["child"]["digests"]], ["int 0"])
        self.assertEqual(os.getpid(), here)

    def test_what_goes_wrong_is_named_with_its_line_and_prompt(self) -> None:
        line = CORPUS.splitlines().index('def raises(prompt, emit): raise ValueError("boom")') + 1
        for function, says in {
            "raises": f"`p0`: ValueError: boom (own/corpus.py:{line}, in `raises`)",
            "twice": "`p0`: ValueError: `a` was emitted twice (own/corpus.py",
            "nothing": "`p0`: nothing was emitted",
            "exits": "`p0`: SystemExit: 3",
            "odd": "`p0`: TypeError: `a` is of type object",
            "lazy": "`p0`: the function gave a generator or a coroutine",
        }.items():
            code, message = self.code(lambda function=function: self.gives(function))  # type: ignore[misc]
            self.assertEqual(code, "script-failed", function)
            self.assertTrue(message.startswith(says), message)

    def test_what_has_a_code_of_its_own_keeps_it(self) -> None:
        self.assertEqual(self.code(lambda: self.gives("starves"))[0], "engine-out-of-memory")

    def test_other_passes_are_none(self) -> None:
        engine = self.load()
        for kind, warm in (("score", False), ("generate", True)):
            command = {"kind": kind, "warm": warm, "requests": [], "groups": []}
            self.assertIsNotNone(engine.run(command, Sign()).unavailable)  # type: ignore[arg-type]


class Loading(Loaded):
    def test_a_function_must_be_there_and_take_what_it_is_given(self) -> None:
        for args, says in (
            ({"function": "walk"}, r"corpus.py has no function `walk`; its functions: `run`, "),
            ({"function": "calls"}, r"has no function `calls`"),
            ({"options": {"size": 1}}, r"`run\(prompt, emit, scale=1\)` is called as `run\(prompt, emit, size=…\)`: "),
            ({"model": "/models/a"}, r"is called as `run\(prompt, emit, model=…\)`"),
            ({"function": "generates"}, r"`generates` is a generator or a coroutine"),
        ):
            code, message = self.code(lambda args=args: self.load(**args))  # type: ignore[misc]
            self.assertEqual(code, "script-invalid", args)
            self.assertRegex(message, says)

    def test_a_model_is_given_by_name(self) -> None:
        engine = self.load("def run(prompt, emit, model): emit('is', str(model))", model="/models/a")
        self.assertEqual(engine.options, {"model": Path("/models/a")})

    def test_what_cannot_be_imported_is_told_with_its_line(self) -> None:
        for text, says in (
            ("x = 1\nraise OSError('no')", r"cannot be imported: OSError: no \(own/corpus.py:2, in `<module>`\)"),
            ("def run(:", r"cannot be imported: SyntaxError: .* \(own/corpus.py:1\)"),
            ("import sys; sys.exit()", r"cannot be imported: SystemExit"),
            ("import nobody_has_this", r"ModuleNotFoundError: No module named 'nobody_has_this'"),
        ):
            code, message = self.code(lambda text=text: self.load(text))  # type: ignore[misc]
            self.assertEqual(code, "script-invalid")
            self.assertRegex(message, says)

    def test_a_file_cannot_be_called_as_a_module_that_others_import(self) -> None:
        self.assertRegex(self.code(lambda: self.load(name="random.py"))[1], "another module is called `random`")

    def test_files_beside_it_can_be_imported(self) -> None:
        (self.scratch / FOLDER / "own").mkdir(parents=True)
        (self.scratch / FOLDER / "own" / "beside_it.py").write_text("VALUE = 7")
        self.assertEqual(self.load("from beside_it import VALUE\ndef run(p, emit): pass").function.__module__, "corpus")
        sys.modules.pop("beside_it")

    def test_arguments_are_looked_at(self) -> None:
        for args, says in (
            ({"functoin": "run"}, "no argument `functoin`; did you mean `function`?"),
            ({"scale": 2}, "no argument `scale`; what the function takes belongs under `options`"),
            ({"seed": True}, "`seed` is True, but must be int"),
        ):
            code, message = self.code(lambda args=args: self.load(**args))  # type: ignore[misc]
            self.assertEqual(code, "engine-rejected")
            self.assertIn(says, message)


class Emits(unittest.TestCase):
    def test_what_cannot_be_emitted(self) -> None:
        for name, value in (
            *((name, 1) for name in ("Loss", "", "a" * 65, "1st", "end-", "tokens", "modules", "text")),
            *(("a", value) for value in ([], {}, {1: 2}, None, [[1]], b"bytes", "\ud800")),
        ):
            emit = Emitter()
            with self.assertRaises((TypeError, ValueError), msg=(name, value)):
                emit(name, value)
            self.assertIsNotNone(emit.fault)
            self.assertEqual(emit.close(), {})

    def test_what_has_no_bits_of_its_own_is_refused_and_not_rounded(self) -> None:
        aligned = numpy.dtype([("a", "i1"), ("b", "f4")], align=True)
        refused: list[Any] = [
            *(Fraction(1, 3), numpy.longdouble("0.1"), numpy.ones(2, numpy.longdouble)),
            *(numpy.zeros(2, aligned), numpy.array([object()])),
        ]
        for value in refused:
            with self.assertRaises(TypeError, msg=repr(value)):
                Emitter()("a", value)
        Emitter()("a", Fraction(1, 4))

    def test_so_much_and_no_more(self) -> None:
        emit = Emitter()
        with self.assertRaisesRegex(ValueError, "larger than 16 MiB together"):
            emit("said", "x" * (17 << 20))
        emit = Emitter()
        for at in range(64):
            emit(f"a{at}", at)
        with self.assertRaisesRegex(ValueError, "more than 64 names"):
            emit("more", 1)

    def test_nothing_after_the_end(self) -> None:
        emit = Emitter()
        emit("a", 1)
        self.assertEqual(list(emit.close()), ["a"])
        with self.assertRaisesRegex(ValueError, "after the function had returned"):
            emit("b", 1)

    def test_a_record_takes_what_a_program_emitted(self) -> None:
        def run(prompt: str, emit: Emitter) -> None:
            emit("loss", 0.5)
            emit("said", prompt)

        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(sys.modules, {"torch": None}):
            whole = mock.patch("deterministic_ml.program.record.fingerprint", return_value=_SURROUNDINGS)
            soft = mock.patch("deterministic_ml.program.record.Software")
            with whole, soft as software:
                software.return_value.told.return_value = None
                emit = Emitter()
                run("fox", emit)
                by_emitter = record(Path(folder) / "a", name="step", emitted=emit)
                by_name = record(Path(folder) / "b", name="step", numbers={"loss": 0.5}, texts={"said": "fox"})
                self.assertEqual(by_emitter, by_name)
                emit = Emitter()
                run("fox", emit)
                with self.assertRaisesRegex(ValueError, "`loss` is named twice"):
                    record(Path(folder) / "c", name="step", numbers={"loss": 1}, emitted=emit)
                emit = Emitter()
                with self.assertRaises(ValueError):
                    emit("Loss", 1)
                emit("loss", 1)
                # It was told once, and caught by whoever emitted.
                with self.assertRaisesRegex(ValueError, "'Loss'"):
                    record(Path(folder) / "d", name="step", emitted=emit)


_SURROUNDINGS: dict[str, Any] = {
    "engine": {"name": "script", "version": "unknown"},
    "libraries": {},
    "files": [],
    "environment": {},
    "gpus": [],
    "topology": "none",
    "driver": "none",
    "cpu": {"vendor": "a", "model": "b", "level": "c", "capability": "d", "cores": 1},
    "memoryBytes": 1,
    "os": "e",
    "kernel": "f",
}

if __name__ == "__main__":
    unittest.main()
