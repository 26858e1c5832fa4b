"""The machine, its GPUs, the Python environment and the operating system, as the predecessor told them."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


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
