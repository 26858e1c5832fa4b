"""For pytest: the fixture `deterministic_ml_snapshot`, and `--accept REASON`. Installed with the distribution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from .channels import channels_of
from .record import Computed
from .snapshot import Place, hold, name_of
from .surroundings import fingerprint

# Once a session: it takes as long as an import of torch.
_surroundings = lru_cache(maxsize=1)(fingerprint)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("deterministic-ml").addoption(
        "--accept",
        metavar="REASON",
        help="accept what tests compute now as records of `deterministic_ml_snapshot`, and keep the reason beside them",
    )


def pytest_configure(config: pytest.Config) -> None:
    reason = config.getoption("--accept")
    if reason is not None and not reason.strip():
        raise pytest.UsageError("--accept needs a reason: it is kept beside the record")
    config.stash[_ACCEPTED] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = config.stash[_ACCEPTED]
    if lines:
        terminalreporter.section("accepted records")
        terminalreporter.write_line(f"Reason: {config.getoption('--accept')}")
        for line in lines:
            terminalreporter.write_line(line)


_ACCEPTED = pytest.StashKey[list[str]]()
# Of the test itself, which the fixture's end cannot see.
_OUTCOME = pytest.StashKey[str]()


def _call(item: pytest.Item) -> Iterator[Any]:
    """Keeps whether the test ended by itself: one that failed or was skipped need not have compared anything."""
    outcome: Any = yield
    item.stash[_OUTCOME] = "passed" if outcome.excinfo is None else "other"


pytest_runtest_call = pytest.hookimpl(hookwrapper=True)(_call)


class Snapshot:
    """Holds what a test computed against the record that was accepted for it; every call has one of its own."""

    def __init__(self, test: str, folder: Path, config: pytest.Config) -> None:
        self._test = test
        self._folder = folder
        self._config = config
        self._names: set[str] = set()

    def __call__(
        self,
        *,
        tensors: Mapping[str, Any] | None = None,
        numbers: Mapping[str, Any] | None = None,
        texts: Mapping[str, str] | None = None,
        inputs: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> None:
        """Fails the test where anything has other bits than in the record, is new or is missing, or is NaN.

        :param name: tells several calls of one test apart
        """
        __tracebackhide__ = True
        test = f"{self._test}--{name}" if name else self._test
        if test in self._names:
            pytest.fail(f"Two snapshots of one test need names: name={name!r} is there already.", pytrace=False)
        self._names.add(test)
        folder = name_of(test)
        computed = Computed.of(folder, inputs, channels_of(tensors, numbers, texts))
        reason: str | None = self._config.getoption("--accept")
        accepted, difference = hold(Place(self._folder / folder), computed, _surroundings(), reason)
        if difference is not None:
            pytest.fail(difference, pytrace=False)
        if accepted is not None:
            self._config.stash[_ACCEPTED].append(accepted)

    @property
    def measured(self) -> bool:
        return bool(self._names)


def _snapshot(request: pytest.FixtureRequest) -> Iterator[Snapshot]:
    """Call it with `tensors`, `numbers` and `texts` by name: their bits must be those of the accepted record.

    Records lie in `snapshots/` beside the test's file, one for each class of hardware.
    """
    node = request.node
    names = [part.name for part in node.listchain() if isinstance(part, pytest.Class)]
    snapshot = Snapshot(".".join([*names, node.name]), node.path.parent / "snapshots" / node.path.stem, request.config)
    yield snapshot
    # A green that measured nothing.
    if not snapshot.measured and node.stash.get(_OUTCOME, None) == "passed":
        pytest.fail("The test never calls `deterministic_ml_snapshot`: nothing was compared.", pytrace=False)


deterministic_ml_snapshot = pytest.fixture(name="deterministic_ml_snapshot")(_snapshot)
