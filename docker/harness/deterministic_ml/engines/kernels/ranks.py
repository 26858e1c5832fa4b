"""Several devices that add up what each has: NCCL among GPUs, gloo among ranks of the CPU, all in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache

import torch
import torch.distributed as dist

_LIMIT = timedelta(seconds=60)

# What each rank has, to what the first of them has then.
AllReduce = Callable[[Sequence[torch.Tensor]], torch.Tensor]


def all_reduce(device: torch.device, ranks: int) -> AllReduce:
    return _among_gpus if device.type == "cuda" else _among(ranks)


def _among_gpus(shares: Sequence[torch.Tensor]) -> torch.Tensor:
    """RCCL on AMD, under the same name."""
    placed = [share.to(f"cuda:{rank}", copy=True) for rank, share in enumerate(shares)]
    torch.cuda.nccl.all_reduce(placed)
    return placed[0]


@cache
def _among(ranks: int) -> AllReduce:
    """Ranks that meet once: gloo gives each of them a thread."""
    store = dist.HashStore()
    with ThreadPoolExecutor(ranks) as pool:
        groups = list(pool.map(lambda rank: dist.ProcessGroupGloo(store, rank, ranks, _LIMIT), range(ranks)))

    def summed(shares: Sequence[torch.Tensor]) -> torch.Tensor:
        own = [share.clone() for share in shares]
        works = [group.allreduce([share]) for group, share in zip(groups, own, strict=True)]
        for work in works:
            work.wait()
        return own[0]

    return summed
