"""Runs one file of unittest tests and tells each outcome as a JSON line on stdout; other output goes to stderr."""

from __future__ import annotations

import json
import os
import sys
import unittest
from typing import Any


class Result(unittest.TestResult):
    def __init__(self, out: Any) -> None:
        super().__init__()
        self.out = out

    def tell(self, test: unittest.TestCase, outcome: str, detail: str = "") -> None:
        name = getattr(test, "description", None) or test.id()
        self.out.write(json.dumps({"name": name, "outcome": outcome, "detail": detail}) + "\n")
        self.out.flush()

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


def main(file: str) -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    folder, name = os.path.split(os.path.abspath(file))
    sys.path.insert(0, folder)
    suite = unittest.defaultTestLoader.loadTestsFromName(os.path.splitext(name)[0])
    result = Result(out)
    suite.run(result)
    out.flush()
    # A thread that a test left behind must not keep a finished run alive.
    sys.stderr.flush()
    os._exit(0 if result.wasSuccessful() else 1)


main(sys.argv[1])
