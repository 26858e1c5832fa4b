"""The clock that chat templates see."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timezone, tzinfo
from unittest import mock


def frozen(clock: int) -> AbstractContextManager[object]:
    """The clock of chat templates stands still.

    A template's only clock is `strftime_now`, which asks the `datetime` of its module; since transformers 5.2x a
    variable of that name cannot take its place. Should the module lose it, this raises: silence would be a daily drift.
    """
    from transformers.utils import chat_template_utils

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Frozen:
            now = cls.fromtimestamp(clock, timezone.utc)
            return now.replace(tzinfo=None) if tz is None else now.astimezone(tz)

    return mock.patch.object(chat_template_utils, "datetime", Frozen)
