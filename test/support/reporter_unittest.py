"""Runs files of unittest tests and tells each outcome as a JSON line on stdout; other output goes to stderr.

Each file has a process of its own, so that none hears of another. Those that need PyTorch are forks of one that has
imported it, and done nothing else: each import of it takes 1.2 s.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import json
import os
import re
import signal
import sys
import traceback
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

# What files share, and what of their text shows that they need it. Those that need none of it come first, and see none.
SHARED = (
    (("torch",), re.compile(r'^\s*(import|from) torch\b|find_spec\("torch"\)', re.MULTILINE)),
    (
        ("torch", "transformers", "transformers.models.auto"),
        re.compile(r"^\s*(import|from) (transformers|vllm)\b", re.MULTILINE),
    ),
)


class Result(unittest.TestResult):
    def __init__(self, out: Any, file: str) -> None:
        super().__init__()
        self.out = out
        self.file = file

    def tell(self, test: unittest.TestCase, outcome: str, detail: str = "") -> None:
        tell(self.out, self.file, outcome, detail, getattr(test, "description", None) or test.id())

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.tell(test, "started")

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.tell(test, "passed")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self.tell(test, "failed", self.failures[-1][1])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self.tell(test, "failed", self.errors[-1][1])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            kind = self.failures if issubclass(err[0], test.failureException) else self.errors
            self.tell(subtest, "failed", kind[-1][1])

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self.tell(test, "skipped", reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.tell(test, "skipped", "expected to fail")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self.tell(test, "failed", "expected to fail, and passed")


def tell(out: Any, file: str, outcome: str, detail: str = "", name: str = "") -> None:
    out.write(json.dumps({"file": file, "name": name, "outcome": outcome, "detail": detail}) + "\n")
    out.flush()


def needed(file: str) -> Sequence[str]:
    text = Path(file).read_text(encoding="utf-8")
    return next((modules for modules, shows in reversed(SHARED) if shows.search(text)), ())


def run(file: str, out: Any) -> NoReturn:
    # With whoever runs it: 1 is PR_SET_PDEATHSIG.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    code = 2
    try:
        folder, name = os.path.split(os.path.abspath(file))
        sys.path.insert(0, folder)
        suite = unittest.defaultTestLoader.loadTestsFromName(os.path.splitext(name)[0])
        result = Result(out, file)
        suite.run(result)
        code = 0 if result.wasSuccessful() else 1
    except BaseException:
        traceback.print_exc()
    finally:
        # A thread that a test left behind must not keep a finished run alive.
        sys.stderr.flush()
        os._exit(code)


def main(files: Sequence[str], seconds: int) -> None:
    """@param seconds until one file counts as hung"""
    # What is imported stays: it is looked through for garbage a hundred times less often.
    gc.set_threshold(70_000)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for file in sorted(files, key=lambda file: len(needed(file))):
        for module in needed(file):
            # Where it is missing, the tests say what they need.
            if importlib.util.find_spec(module.partition(".")[0]) is not None:
                importlib.import_module(module)
        gc.freeze()
        tell(out, file, "begins")
        process = os.fork()
        if process == 0:
            signal.alarm(seconds)
            run(file, out)
        _, status = os.waitpid(process, 0)
        code = os.waitstatus_to_exitcode(status)
        tell(out, file, "ended", "" if code == 0 else f"Its process ended with {code}.")


main(sys.argv[2:], int(sys.argv[1]))
