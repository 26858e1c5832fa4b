"""What a test computed, held against the record that was accepted for it on this kind of hardware."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .channels import Channel
from .record import Computed, Damaged, Stored, read, write
from .surroundings import hardware_class, recorded

_MAX_LINES = 30


@dataclass(frozen=True)
class Place:
    """Where the records of one snapshot lie: one for each class of hardware, since other hardware rounds otherwise."""

    folder: Path

    def record(self, hardware: str) -> Path:
        return self.folder / hardware

    def accepted(self, hardware: str) -> Path:
        """One line for each time that somebody accepted it, with the reason."""
        return self.folder / f"{hardware}.accepted.jsonl"

    def classes(self) -> list[str]:
        """Those that have a record."""
        return sorted(path.parent.name for path in self.folder.glob("*/record.json"))


def hold(
    place: Place, computed: Computed, surroundings: Mapping[str, Any], reason: str | None
) -> tuple[str | None, str | None]:
    """Compares, or with a reason accepts what is other.

    @param surroundings what `fingerprint` told
    @returns what was accepted, and why the results are not the record's or nothing was compared; None where not so
    """
    if broken := _nans(computed):
        return None, broken
    hardware = hardware_class(surroundings)
    folder = place.record(hardware)
    damaged: Damaged | None = None
    stored: Stored | None = None
    try:
        stored = read(folder)
    except Damaged as error:
        damaged = error
    told = list(_differences(stored, computed)) if stored is not None else []
    if stored is not None and not told:
        return None, None
    if reason is not None:
        before = None if stored is None else stored.digest
        # A list of all software in each of them would be most of what a repository has to keep.
        after = write(folder, computed, surroundings, software=None)
        _note(place.accepted(hardware), before, after, reason)
        return f"{place.folder.name} on {hardware}: {'new' if before is None else before[:16]} -> {after[:16]}", None
    if damaged is not None:
        return None, f"Nothing was compared: {damaged}\nRestore it, or accept a new one: --accept REASON."
    if stored is None:
        others = place.classes()
        beside = f" There are records of other hardware: {', '.join(others)}." if others else ""
        return None, (
            f"Nothing was compared: no record was accepted on {hardware}.{beside}\n"
            "Accept what this run computes as the record: --accept REASON."
        )
    changed = list(_environment(stored.fingerprint, recorded(surroundings)))
    none = "Nothing that is recorded of the environment changed."
    return None, "\n".join(
        [
            *_capped(told, "more results differ"),
            "Changed in the environment since:" if changed else none,
            *_capped([f"  {line}" for line in changed], "more changed"),
            *_last(place.accepted(hardware)),
            "If it is meant, accept it: --accept REASON.",
        ]
    )


def _nans(computed: Computed) -> str | None:
    for name, channel in computed.channels.items():
        if nans := sum(one.nans for one in channel.digests):
            return f"Nothing was compared: NaN in `{name}` ({nans} times), and equal bits of that say nothing."
    return None


def _differences(stored: Stored, computed: Computed) -> Iterator[str]:
    if stored.program != computed.program:
        yield f"the record is of `{stored.program}`, and this is `{computed.program}`"
    for name, channel in computed.channels.items():
        if name not in stored.results:
            yield f"{name}: is not in the record"
            continue
        asked, before = stored.results[name]
        if asked != computed.inputs[name]:
            yield f"{name}: was computed from other inputs"
        elif before != channel:
            yield f"{name}: {_difference(before, channel)}"
    for name in stored.results:
        if name not in computed.channels:
            yield f"{name}: is in the record, and was not computed"


def _difference(before: Channel, now: Channel) -> str:
    if before.name != now.name:
        return f"was among the {before.name}, and is among the {now.name}"
    if before.text is not None and now.text is not None:
        lines = difflib.unified_diff(before.text.splitlines(), now.text.splitlines(), "record", "now", lineterm="", n=1)
        return "the text differs\n" + "\n".join(f"    {_shown(line)}" for line in _capped(list(lines), "more lines"))
    if len(before.digests) != len(now.digests):
        return f"had {len(before.digests)} values, and has {len(now.digests)}"
    at, was, is_now = next((at, a, b) for at, (a, b) in enumerate(zip(before.digests, now.digests)) if a != b)
    count = sum(a != b for a, b in zip(before.digests, now.digests))
    where = f"{count} of {len(now.digests)} differ, the first at {at}: " if len(now.digests) > 1 else ""
    # Of a number its value; of a tensor what it is.
    if was.name != is_now.name:
        return f"{where}was {_shown(was.name)}, is {_shown(is_now.name)}"
    return f"{where}other bits in {_shown(now.digests[at].name)}: was {was.sha256[:16]}, is {is_now.sha256[:16]}"


def _environment(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    a, b = dict(_flat(before)), dict(_flat(now))
    for name in sorted({*a, *b}):
        if a.get(name) != b.get(name):
            yield f"{name}: {_shown(str(a.get(name, '(absent)')))} -> {_shown(str(b.get(name, '(absent)')))}"


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _flat(one, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _flat(one, f"{name}[{at}]")
    else:
        yield name, value


def _note(path: Path, before: str | None, after: str, reason: str) -> None:
    line = {
        "at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "before": before,
        "after": after,
        "reason": reason,
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _last(path: Path) -> list[str]:
    """Why what is in the record was accepted."""
    try:
        last = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
        return [f"The record was accepted at {_shown(str(last['at']))}: {_shown(str(last['reason']))}"]
    except (OSError, IndexError, KeyError, TypeError, ValueError):
        return []


def _capped(lines: list[str], more: str) -> list[str]:
    return lines if len(lines) <= _MAX_LINES else [*lines[:_MAX_LINES], f"… and {len(lines) - _MAX_LINES} {more}"]


def _shown(text: str) -> str:
    """One line in which nothing acts on a terminal."""
    return "".join(_escaped(character) if not character.isprintable() else character for character in text[:300])


def _escaped(character: str) -> str:
    return f"\\u{{{ord(character):x}}}"


def name_of(text: str) -> str:
    """A name that a folder and a program in a record can have, and another one for another text."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")
    if plain == text and 0 < len(plain) <= 64:
        return plain
    # What was replaced or cut off must not make two tests one.
    return f"{plain[:50].strip('._-') or 'test'}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
