"""Variables of the environment that were asked for, and what became of them in a process that computes."""

from __future__ import annotations

import os
from collections.abc import Sequence

UNSET = "(not set)"
UNKNOWN = "(not known to this engine)"


def here(names: Sequence[str]) -> dict[str, str]:
    """As this process has them: an engine may set them itself."""
    return {name: os.environ.get(name, UNSET) for name in names}
