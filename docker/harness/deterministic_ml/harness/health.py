"""What the GPUs say of their own health (HealthReading in src/health/schema.ts): facts, no judgement."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .devices import UNKNOWN, UNTOLD_CARD, Devices, look, uuid_hash, visible
from .smi import HERE, SECONDS, At, Machine, Reading, nothing

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


@dataclass
class Watch:
    """The health of the GPUs that one lifetime uses, before and after."""

    machine: Machine = HERE
    # `CUDA_VISIBLE_DEVICES` of the engine.
    listed: str | None = None
    _since: float = field(init=False)
    _used: frozenset[str] | None = field(init=False, default=None)
    _is_asked: bool = field(init=False)
    # What they are, as told in the same answer.
    devices: Devices = field(init=False, default_factory=Devices)

    def __post_init__(self) -> None:
        self._since = self.machine.now()
        # What ails a GPU that the engine is not given does not matter.
        self._is_asked = self.listed is None or self.listed.strip() not in ("", "-1")

    def before(self) -> Reading:
        """To be read while nothing of ours is on a GPU: what is there then is somebody else's."""
        if not self._is_asked:
            return nothing("before", "no-gpu")
        return self._read("before", self._see)

    def _read(self, at: At, seen: Callable[[Element], None] = lambda _: None) -> Reading:
        # Takes 10 ms to load, which an engine that is given no GPU need not wait for.
        from .reading import read

        return read(at, self._since, self.machine, seen)

    def _see(self, root: Element) -> None:
        def matrix() -> str:
            answer = self.machine.ask(["topo", "-m"], SECONDS)
            return answer.out if answer is not None and answer.exit == 0 else ""

        self.devices = look(root, matrix)

    def gpus(self, torch: Mapping[str, Any], reading: Reading) -> Sequence[Mapping[str, Any]]:
        """The GPUs that the engine can use: torch's, or where there is no torch, those that nvidia-smi tells of.

        @param torch what `Facts` read; empty where there is none
        """
        if torch:
            return list(torch["gpus"])
        if not self.devices.cards:
            return [] if reading["state"] == "no-gpu" else [UNTOLD_CARD]
        answer = self.machine.ask(["--query-gpu=compute_cap", "--format=csv,noheader"], SECONDS)
        told = answer.out.splitlines() if answer is not None and answer.exit == 0 else []
        known = [line.strip() if re.fullmatch(r"\s*\d{1,2}\.\d\s*", line) else UNKNOWN for line in told]
        # As many lines as cards, or nobody knows whose they are.
        capability = known if len(known) == len(self.devices.cards) else [UNKNOWN] * len(self.devices.cards)
        cards = [{**card, "arch": arch} for card, arch in zip(self.devices.cards, capability, strict=True)]
        return visible(cards, self.listed)

    def used(self, reading: Reading, torch: Mapping[str, Any], gpus: Sequence[Mapping[str, Any]]) -> Reading:
        """The same, of what the engine can use alone, with what the self-test found.

        @param torch what `Facts` read; empty where there is none
        """
        if not self._is_asked:
            return reading
        if torch and not (torch.get("cuda") or torch.get("hip")):
            # An engine that is built without them: what ails a GPU beside it does not matter.
            self._is_asked = False
            return nothing(reading["at"], "no-gpu")
        seen = [uuid_hash(str(gpu.get("uuid", ""))) for gpu in gpus]
        self._used = frozenset(one for one in seen if one is not None) or None
        return {**_only(reading, self._used), "selfTest": _of_self_test(torch, seen, reading)}

    def after(self) -> Reading:
        return _only(self._read("after"), self._used) if self._is_asked else nothing("after", "no-gpu")


def _of_self_test(torch: Mapping[str, Any], seen: Sequence[str | None], reading: Reading) -> dict[str, Any] | None:
    """By the numbers of nvidia-smi; where a GPU's is not known, by torch's own."""
    test = torch.get("selfTest")
    if not isinstance(test, dict):
        return None
    of = {gpu["uuidHash"]: gpu["index"] for gpu in reading["gpus"] if gpu["uuidHash"] is not None}
    gpus = [
        {"gpu": of.get(uuid, i), "distinct": distinct}
        for i, (uuid, distinct) in enumerate(zip(seen, test.get("distinct", ()), strict=False))
        if distinct is not None
    ]
    return {
        "rounds": test.get("rounds", 0),
        "seconds": test.get("seconds", 0.0),
        "gpus": gpus,
        "why": None if test.get("why") is None else str(test["why"])[:512],
    }


def _only(reading: Reading, used: Collection[str] | None) -> Reading:
    """Where torch's GPUs are among them (a slice of one has a UUID of its own), without those that it does not see."""
    kept = [gpu for gpu in reading["gpus"] if used is not None and gpu["uuidHash"] in used]
    if not kept:
        return reading
    kept += [gpu for gpu in reading["gpus"] if gpu["lost"] and gpu["pci"] is None]
    indices = {gpu["index"] for gpu in kept}
    xids = reading["xids"]
    return {
        **reading,
        "gpus": kept,
        "xids": None if xids is None else [one for one in xids if one["gpu"] in indices],
    }
