"""A folder that is put back to what it was, so that each lifetime begins with the same and leaves the next nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .digests import identity

# Which folder is this run's alone: the runtime tells it. Only there may anything be removed.
VARIABLE = "DETERMINISTIC_ML_SCRATCH"


class Scratch:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = dict(_all(folder))

    def restore(self) -> str | None:
        """Removes what has come since. Why that is not enough: something that was there is not what it was."""
        for path, now in list(_all(self._folder)):
            if path in self._before:
                continue
            if now is None:
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        after = dict(_all(self._folder))
        if other := next((path for path, was in self._before.items() if after.get(path, "gone") != was), None):
            return f"a lifetime changed {other.name} in the folder of the run"
        if more := next((path for path in after if path not in self._before), None):
            return f"{more.name} in the folder of the run cannot be removed"
        return None


def _all(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Each file with what tells it from another; a folder, before what is in it, with nothing."""
    for parent, folders, files in os.walk(folder):
        for name in folders:
            path = Path(parent, name)
            yield path, (identity(path.lstat()) if path.is_symlink() else None)
        for name in files:
            path = Path(parent, name)
            try:
                yield path, identity(path.lstat())
            except FileNotFoundError:
                continue
