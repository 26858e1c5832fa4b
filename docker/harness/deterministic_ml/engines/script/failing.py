"""How an error of a script is told."""

from __future__ import annotations

import traceback
from pathlib import Path

from ...harness.errors import describe


def told(error: BaseException, folder: Path) -> str:
    """What it says, and the last line of the user's own files that it came through."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(folder)]
    if isinstance(error, SyntaxError) and error.filename is not None and Path(error.filename).is_relative_to(folder):
        return f"SyntaxError: {error.msg} ({Path(error.filename).relative_to(folder)}:{error.lineno})"
    if not own:
        return describe(error)
    return f"{describe(error)} ({Path(own[-1].filename).relative_to(folder)}:{own[-1].lineno}, in `{own[-1].name}`)"
