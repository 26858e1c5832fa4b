"""Public API, version 1: it does not change in a way that breaks its callers, even when a `v2` exists.

It needs the standard library alone; NumPy and PyTorch are seeded where they are installed.
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import logging
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["set_deterministic", "set_deterministic_pytorch", "system_info"]

_log = logging.getLogger(__name__)


def set_deterministic(seed: int, *, any_card: bool = False) -> None:
    """Seeds Python, NumPy and PyTorch, and makes PyTorch choose deterministic algorithms.

    Libraries that are not installed are left out. Generators made elsewhere with a seed of their own, and the hashes
    of strings (PYTHONHASHSEED, which must be set before Python starts), are beyond its reach.

    :param any_card: see `set_deterministic_pytorch`
    """
    _log.info("deterministic mode, seed %r, any_card %r", seed, any_card)
    random.seed(seed)
    try:
        import numpy
    except ImportError:
        pass
    else:
        numpy.random.seed(seed)
    try:
        set_deterministic_pytorch(seed, any_card=any_card)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise


def set_deterministic_pytorch(seed: int, *, any_card: bool = False) -> None:
    """Seeds PyTorch on every device and makes it choose deterministic algorithms, warning where it has none.

    Call it before the first use of CUDA: cuBLAS reads its workspace setting when it starts. See
    https://pytorch.org/docs/stable/notes/randomness.html

    :param any_card: also turn off TF32, whose rounding only newer cards have. Slower, and still no promise that
        different cards agree: they do where architecture and number of SMs are the same.
    """
    # Of the two values that cuBLAS documents as reproducible, the one with more workspace. The user's own wins.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

    import torch

    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    if any_card:
        warnings.warn(
            "any_card makes PyTorch slower and does not guarantee the same results on all cards.",
            UserWarning,
            stacklevel=2,
        )
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def system_info() -> dict[str, Any]:
    """Describes the machine, its GPUs, the Python environment and the operating system, as plain JSON values.

    What cannot be read is left empty, with the reason beside it under `<name>_error`.
    """
    return {
        "machine": _machine(),
        "python": {"version": sys.version, "packages": _packages()},
        "system": _system(),
        "cuda": _cuda(),
    }


def _machine() -> dict[str, Any]:
    info: dict[str, Any] = {}
    _fill(info, "docker_support", {"runc": False, "nvidia": False}, _docker_runtimes)
    _fill(info, "gpu", {"count": 0, "details": []}, _gpus)
    _fill(info, "cpu", {"count": 0, "model": "", "clocks": []}, _cpu)
    _fill(info, "ram", {}, _ram)
    _fill(info, "hard_disk", {}, _disk)
    _fill(info, "os", "", lambda: platform.freedesktop_os_release()["PRETTY_NAME"])
    return info


def _fill(info: dict[str, Any], name: str, empty: Any, read: Callable[[], Any]) -> None:
    try:
        info[name] = read()
    except Exception as error:
        info[name] = empty
        info[f"{name}_error"] = repr(error)


def _docker_runtimes() -> dict[str, bool]:
    """Asks the daemon, rather than pulling and running an image with each runtime."""
    runtimes = json.loads(_run("docker", "info", "--format", "{{json .Runtimes}}")) or {}
    return {name: name in runtimes for name in ("runc", "nvidia")}


def _gpus() -> dict[str, Any]:
    fields = {
        "name": "name",
        "driver": "driver_version",
        "capacity": "memory.total",
        "cuda": "compute_cap",
        "power_limit": "power.limit",
        "graphics_speed": "clocks.gr",
        "memory_speed": "clocks.mem",
    }
    out = _run("nvidia-smi", f"--query-gpu={','.join(fields.values())}", "--format=csv,noheader,nounits")
    rows = csv.reader(out.splitlines(), skipinitialspace=True)
    details = [dict(zip(fields, row)) for row in rows]
    return {"count": len(details), "details": details}


def _cpu() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.M)
    return {
        "count": os.cpu_count(),
        "model": model[1] if model else platform.processor(),
        "clocks": [float(mhz) for mhz in re.findall(r"^cpu MHz\s*: ([\d.]+)$", cpuinfo, re.M)],
    }


def _ram() -> dict[str, int]:
    """In KiB."""
    meminfo = dict(re.findall(r"^(\w+):\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.M))
    total, free, available = (int(meminfo[name]) for name in ("MemTotal", "MemFree", "MemAvailable"))
    return {"total": total, "free": free, "available": available, "used": total - free}


def _disk() -> dict[str, int]:
    """In KiB, of the file system of the working folder."""
    usage = shutil.disk_usage(".")
    return {"total": usage.total // 1024, "used": usage.used // 1024, "free": usage.free // 1024}


def _packages() -> list[str]:
    found = {f"{dist.metadata['Name']}=={dist.version}" for dist in importlib.metadata.distributions()}
    return sorted(found, key=str.lower)


def _system() -> dict[str, Any]:
    info: dict[str, Any] = {
        "os": platform.system(),
        "os_version": platform.version(),
        "release": platform.release(),
        "machine": platform.machine(),
        "processor": platform.processor(),
    }
    if shutil.which("dpkg-query"):
        _fill(
            info, "dpkg_packages", [], lambda: _run("dpkg-query", "-W", "-f", "${Package}==${Version}\n").splitlines()
        )
    return info


def _cuda() -> dict[str, Any]:
    try:
        import torch
    except ImportError:
        return {}
    return {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}


def _run(*command: str) -> str:
    # A lost GPU can make nvidia-smi hang.
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


if __name__ == "__main__":
    json.dump(system_info(), sys.stdout, indent=2)
