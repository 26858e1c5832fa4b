"""Whether a device repeats itself: the same product and the same sums, again and again, must give the same bits.

Only about one in a hundred silent errors of a GPU ends in a NaN; all others look like numbers, and only comparing finds
them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

Work = Callable[[], bytes]

SECONDS = 1.0
# Rows and columns: small enough for a card that is nearly full, large enough for every SM.
SIZE = 1024
_SEED = 20_261_127


def self_test(torch: Any, devices: Sequence[str], seconds: float = SECONDS, size: int = SIZE) -> dict[str, Any]:
    """@param devices e.g. `cuda:0`; each does the same work once a round
    @return `rounds`, `seconds` and, for each device, `distinct`: how many different results it gave, None for one that
        cannot be tested; then `why` names it, and the others were tested all the same
    """
    works: dict[str, Work] = {}
    failed: list[str] = []
    for device in devices:
        try:
            work = work_of(torch, device, size)
            work()
            works[device] = work
        except Exception as error:
            failed.append(f"{device}: {type(error).__name__}: {error}")
    nothing: dict[str, Any] = {"rounds": 0, "seconds": 0.0, "distinct": []}
    told = repeat(list(works.values()), seconds, time.monotonic) if works else nothing
    distinct = dict(zip(works, told["distinct"], strict=True))
    why = {"why": "; ".join(failed)[:512]} if failed else {}
    return {**told, "distinct": [distinct.get(device) for device in devices], **why}


def repeat(works: Sequence[Work], seconds: float, clock: Callable[[], float]) -> dict[str, Any]:
    """At least twice, however long that takes."""
    seen: list[set[bytes]] = [set() for _ in works]
    began = clock()
    rounds = 0
    while rounds < 2 or clock() - began < seconds:
        for work, results in zip(works, seen, strict=True):
            results.add(work())
        rounds += 1
    return {"rounds": rounds, "seconds": clock() - began, "distinct": [len(results) for results in seen]}


def work_of(torch: Any, device: str, size: int) -> Work:
    generator = torch.Generator().manual_seed(_SEED)
    left, right = (torch.randn(size, size, generator=generator).to(device) for _ in range(2))

    def work() -> bytes:
        digest = hashlib.sha256()
        for dtype in (torch.float32, torch.bfloat16):
            product = left.to(dtype) @ right.to(dtype)
            for result in (product, product.float().sum(dim=0), product.float().sum()):
                digest.update(result.cpu().float().numpy().tobytes())
        return digest.digest()

    return work
