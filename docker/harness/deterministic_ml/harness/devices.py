"""Whose a GPU is and what it carries, beside what torch tells of it: its BIOS, its slice, its links to others.

None of it is part of the hardware class; each is a fact of the fingerprint, and `unknown` where it is not told.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

UNKNOWN = "unknown"
NONE = "none"

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_SLICE = re.compile(r" MIG (\d+c\.)?(\d+g\.\d+gb\S*)", re.IGNORECASE)
# More pairs than a fact holds: then only how many of each kind there are.
_MAX_PAIRS = 40


@dataclass(frozen=True)
class Devices:
    """What nvidia-smi told of the cards of a machine, by the hash of their UUID."""

    bios: Mapping[str, str] = field(default_factory=dict)
    # Of each card, in nvidia-smi's order; None where a UUID is not told.
    order: Sequence[str | None] = ()
    # `nvidia-smi topo -m`; empty where nobody asked.
    matrix: str = ""

    def of(self, gpu: Mapping[str, Any], uuid_hash: str) -> dict[str, str]:
        """@param gpu as torch tells of it"""
        vendor = str(gpu.get("vendor", UNKNOWN))
        named = _SLICE.search(str(gpu["name"]))
        if vendor != "nvidia":
            return {"vendor": vendor, "vbios": _bios_of(gpu), "mig": NONE}
        # A slice has a UUID of its own; on a machine with one card it is that card's.
        (only,) = self.bios.values() if len(self.order) == 1 and self.bios else (UNKNOWN,)
        mig = f"{named[1] or ''}{named[2]}" if named else NONE
        return {"vendor": vendor, "vbios": self.bios.get(uuid_hash, only)[:128], "mig": mig[:64]}

    def topology(self, used: Sequence[str]) -> str:
        """How the used ones are linked, e.g. `NV18: all` or `NV12: 0-1; SYS: 0-2, 1-2`, by their place among them."""
        if len(used) < 2:
            return NONE
        places = [self.order.index(one) for one in used if one in self.order]
        links = matrix_of(self.matrix)
        if len(places) != len(used) or any(max(places) >= len(row) for row in links) or len(links) <= max(places):
            return UNKNOWN
        kinds: dict[str, list[str]] = {}
        for a, b in combinations(range(len(places)), 2):
            kinds.setdefault(links[places[a]][places[b]], []).append(f"{a}-{b}")
        if len(kinds) == 1:
            return f"{next(iter(kinds))}: all"
        few = sum(map(len, kinds.values())) <= _MAX_PAIRS
        told = (f"{kind}: {', '.join(pairs) if few else len(pairs)}" for kind, pairs in sorted(kinds.items()))
        return "; ".join(told)[:512]


def look(root: ET.Element, uuid_hash: Callable[[str], str | None], ask_matrix: Callable[[], str]) -> Devices:
    """@param ask_matrix asked only where there are several cards"""
    cards = root.findall("gpu")[:64]
    order = [uuid_hash(card.findtext("uuid") or "") for card in cards]
    bios = {
        known: plain
        for known, card in zip(order, cards, strict=True)
        if known is not None and (plain := _plain(card.findtext("vbios_version")))
    }
    return Devices(bios, order, ask_matrix() if len(cards) > 1 else "")


def matrix_of(text: str) -> list[list[str]]:
    """The links between GPUs, row by row; the columns of NICs and CPUs are left out."""
    lines = [_ESCAPES.sub("", line).split("\t") for line in text.splitlines()]
    heads = next((line for line in lines if "GPU0" in [cell.strip() for cell in line]), [])
    columns = [at for at, cell in enumerate(heads) if re.fullmatch(r"GPU\d+", cell.strip())]
    rows = [line for line in lines if re.fullmatch(r"GPU\d+", line[0].strip()) and line is not heads]
    return [[_plain(line[at]) or UNKNOWN if at < len(line) else UNKNOWN for at in columns] for line in rows]


def _bios_of(gpu: Mapping[str, Any]) -> str:
    """AMD's driver shows it in sysfs, by the place on the bus that torch tells."""
    try:
        text = Path(f"/sys/bus/pci/devices/{gpu['pci']}/vbios_version").read_text(errors="replace")
    except (KeyError, OSError, ValueError):
        return UNKNOWN
    return _plain(text) or UNKNOWN


def _plain(value: str | None) -> str:
    """One word of what nvidia-smi says, or nothing for what it says in place of a value."""
    text = re.sub(r"[^\x21-\x7e]", "", value or "")[:128]
    return "" if text.upper() in ("N/A", "[N/A]", "UNKNOWNERROR", "[UNKNOWNERROR]") else text
