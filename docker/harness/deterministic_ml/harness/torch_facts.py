"""What torch knows of the machine: asked in a process of its own, or where torch has been imported already."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


def tell(file: int) -> None:
    """Imports torch, and writes what it knows to an open file; nothing where there is no torch."""
    with os.fdopen(file, "w") as out:
        try:
            import torch
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            json.dump({}, out)
            return
        json.dump(torch_facts(torch), out)


def knows_no_device(origin: str | None) -> bool:
    """Whether it was built for the CPU alone, so that asking it initialises nothing; one that does not say was not.

    @param origin its file, which is not imported for it
    """
    import runpy

    try:
        told = runpy.run_path(str(Path(origin or "").with_name("version.py")))
    except Exception:
        return False
    return all(told.get(name, "unknown") is None for name in ("cuda", "hip", "xpu"))


def torch_facts(torch: Any) -> dict[str, Any]:
    """Of a build with devices it initialises them."""
    facts = {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "config": torch.__config__.show(),
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "gpus": [],
    }
    if torch.cuda.is_available():
        facts.update(_of_cuda(torch))
    elif getattr(torch, "xpu", None) is not None and torch.xpu.is_available():
        facts["gpus"] = [_of_xpu(torch.xpu.get_device_properties(i)) for i in range(torch.xpu.device_count())]
    return facts


def _of_cuda(torch: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"cudnn": torch.backends.cudnn.version()}
    with contextlib.suppress(Exception):
        facts["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
    count = torch.cuda.device_count()
    facts["gpus"] = [_cuda_gpu(torch, torch.cuda.get_device_properties(i)) for i in range(count)]
    # Here, where torch is imported already and CUDA may be initialised.
    try:
        from .selftest import self_test

        facts["selfTest"] = self_test(torch, [f"cuda:{i}" for i in range(count)])
    except Exception as error:
        facts["selfTest"] = {"why": f"{type(error).__name__}: {error}"[:512]}
    return facts


def _cuda_gpu(torch: Any, gpu: Any) -> dict[str, Any]:
    # Not every version tells it, nor every build; without it the card is the same card.
    try:
        place = f"{gpu.pci_domain_id:04x}:{gpu.pci_bus_id:02x}:{gpu.pci_device_id:02x}.0"
    except Exception:
        place = None
    return {
        "name": gpu.name,
        "uuid": str(getattr(gpu, "uuid", "")),
        "major": gpu.major,
        "minor": gpu.minor,
        "vendor": "amd" if torch.version.hip else "nvidia",
        "pci": place,
        # Of AMD only: on NVIDIA torch fills it with the name of the GPU.
        "arch": getattr(gpu, "gcnArchName", "") if torch.version.hip else "",
        "sms": gpu.multi_processor_count,
        "memory": gpu.total_memory,
    }


def _of_xpu(gpu: Any) -> dict[str, Any]:
    try:
        arch = f"xe-{gpu.architecture:x}"
    except Exception:
        arch = "xe"
    return {
        "name": gpu.name,
        "uuid": str(getattr(gpu, "uuid", "")),
        "major": 0,
        "minor": 0,
        "vendor": "intel",
        "pci": None,
        "arch": arch,
        "sms": getattr(gpu, "max_compute_units", "unknown"),
        "memory": gpu.total_memory,
        "driver": getattr(gpu, "driver_version", ""),
    }
