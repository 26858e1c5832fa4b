"""Whose a GPU is and what it carries, beside what torch tells of it: its BIOS, its slice, its links to others.

None of it is part of the hardware class; each is a fact of the fingerprint, and `unknown` where it is not told.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

UNKNOWN = "unknown"
NONE = "none"

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
# How a card is called that is cut into slices, where nobody tells which one is meant.
_CUT = " MIG"
_SLICE = re.compile(r" MIG (\d+c\.)?(\d+g\.\d+gb\S*)", re.IGNORECASE)
# What nvidia-smi says in place of a value.
UNTOLD = re.compile(
    r"^\[?(?:N/?A|Not Supported|Insufficient Permissions|Unknown Error|Not Found|"
    r"Requested functionality has been deprecated|GPU requires reset|GPU is lost)?\]?$",
    re.IGNORECASE,
)
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
    # As torch would tell of them, and less: for an engine that brings no torch.
    cards: Sequence[Mapping[str, Any]] = ()

    def of(self, gpu: Mapping[str, Any], uuid_hash: str) -> dict[str, str]:
        """@param gpu as torch tells of it"""
        vendor = str(gpu.get("vendor", UNKNOWN))
        named = _SLICE.search(str(gpu["name"]))
        if vendor != "nvidia":
            return {"vendor": vendor, "vbios": _bios_of(gpu), "mig": NONE}
        # A slice has a UUID of its own; on a machine with one card it is that card's.
        (only,) = self.bios.values() if len(self.order) == 1 and self.bios else (UNKNOWN,)
        uncut = UNKNOWN if str(gpu["name"]).endswith(_CUT) else NONE
        mig = f"{named[1] or ''}{named[2]}" if named else uncut
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


def uuid_hash(uuid: str) -> str | None:
    """As the fingerprint has it: torch leaves out the prefix that nvidia-smi shows."""
    lower = uuid.strip().lower()
    if not lower or UNTOLD.match(lower):
        return None
    whole = lower if lower.startswith(("gpu-", "mig-")) else f"gpu-{lower}"
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def look(root: Element, ask_matrix: Callable[[], str]) -> Devices:
    """@param ask_matrix asked only where there are several cards"""
    cards = root.findall("gpu")[:64]
    order = [uuid_hash(card.findtext("uuid") or "") for card in cards]
    bios = {
        known: plain
        for known, card in zip(order, cards, strict=True)
        if known is not None and (plain := _plain(card.findtext("vbios_version")))
    }
    return Devices(bios, order, ask_matrix() if len(cards) > 1 else "", [_card(card) for card in cards])


# Of a card that is there and that nobody can name: no machine without a GPU is one like it.
UNTOLD_CARD: Mapping[str, Any] = {
    "name": UNKNOWN,
    "uuid": "",
    "vendor": UNKNOWN,
    "pci": None,
    "arch": UNKNOWN,
    "sms": UNKNOWN,
    "memory": UNKNOWN,
}


def _card(card: Element) -> dict[str, Any]:
    """A card that is cut into slices is told as such; which slice a process gets, this answer does not say."""
    memory = re.fullmatch(r"(\d{1,9}) MiB", (card.findtext("fb_memory_usage/total") or "").strip())
    name = (card.findtext("product_name") or "").strip() or UNKNOWN
    is_sliced = (card.findtext("mig_mode/current_mig") or "").strip() == "Enabled"
    return {
        **UNTOLD_CARD,
        "name": f"{name}{_CUT}" if is_sliced else name,
        "uuid": (card.findtext("uuid") or "").strip(),
        "vendor": "nvidia",
        "memory": int(memory[1]) * 2**20 if memory and not is_sliced else UNKNOWN,
    }


def visible(cards: Sequence[Mapping[str, Any]], listed: str | None) -> list[Mapping[str, Any]]:
    """What `CUDA_VISIBLE_DEVICES` leaves of them, in its order.

    What CUDA does not know ends the list, as it does there. A slice's own name is not told here: it is taken for one of
    the first card that is cut.
    """
    if listed is None:
        return list(cards)
    chosen: list[Mapping[str, Any]] = []
    for word in map(str.strip, listed.split(",")):
        if word.isdigit():
            found = cards[int(word)] if int(word) < len(cards) else None
        elif word.startswith("MIG-"):
            found = next((card for card in cards if card["name"].endswith(_CUT)), UNTOLD_CARD)
        else:
            found = next((card for card in cards if word.startswith("GPU-") and card["uuid"].startswith(word)), None)
        if found is None:
            break
        chosen.append(found)
    return chosen


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
