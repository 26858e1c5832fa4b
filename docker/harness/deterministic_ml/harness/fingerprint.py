"""What the numbers may depend on, as far as it can be seen from inside (HarnessFingerprint in the schema).

A fact that could not be read is `unknown`; one that cannot exist here, such as CUDA on a CPU build, is `none`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .devices import Devices, uuid_hash
from .errors import HarnessError, describe
from .torch_facts import knows_no_device, torch_facts

if TYPE_CHECKING:
    from ..engines import Module

UNKNOWN = "unknown"
NONE = "none"
MAX_FACT = 512

# Variables that may change the numbers. OMP, KMP, MKL, DNNL: thread counts and instruction sets; the rest are the
# prefixes of the libraries themselves.
_PREFIXES = (
    *("TORCH", "PYTORCH_", "ATEN_", "TRITON", "FLASHINFER_"),
    *("CUBLAS", "CUDA_", "CUDNN_", "NVIDIA_TF32", "NCCL_", "HIP_", "ROCM_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "ONEDNN_", "DNNL_", "OPENBLAS_"),
    *("PYTHONHASHSEED", "LD_PRELOAD", "HF_", "TRANSFORMERS_"),
)
# Where things lie, not what they are: a private folder of this run would look like a change at each one.
_PLACE = re.compile(r"CACHE|_HOME$|_ROOT$|_BASE_PATH$")
_SECRET = re.compile("TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)

# Distributions whose code computes, renders a prompt, or chooses a kernel.
_DISTRIBUTIONS = (
    *("torch", "numpy", "triton", "flashinfer-python", "flash-attn", "xformers", "compressed-tensors", "numba"),
    *("transformers", "tokenizers", "safetensors", "huggingface-hub", "jinja2", "mistral-common", "tiktoken"),
)

# In a child of its own, since asking torch for a GPU initialises CUDA and the engine must do that itself.
_CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from deterministic_ml.harness.torch_facts import tell
tell(int(sys.argv[2]))
"""

_SECONDS = 300


class Facts:
    """What torch knows: a child that reads it is started at once, so that the weights can be hashed meanwhile."""

    def __init__(self, environment: Mapping[str, str] | None = None, imported: Callable[[], Any] | None = None) -> None:
        """@param environment this process's own where nothing else is given
        @param imported gives torch, where this process has it or is importing it: a build without devices is asked
            here, and no child imports it once more (2.3 s of CPU)
        """
        torch = importlib.util.find_spec("torch")
        self._ask: Callable[[], dict[str, Any]]
        if torch is None:
            # Where there is none, no child need look for it.
            self._ask = dict
        elif imported is not None and knows_no_device(torch.origin):
            self._ask = partial(_here, imported)
        else:
            self._ask = _Child(environment).answer

    def wait(self) -> dict[str, Any]:
        """Nothing where there is no torch.

        @raises HarnessError `engine-failed` for a torch that does not tell: taken for a machine without a GPU, it would
            be compared with another class's baseline
        """
        return self._ask()


class _Child:
    def __init__(self, environment: Mapping[str, str] | None) -> None:
        # A file and not stdout: what an image's start-up code prints, or a child that it leaves behind, is no answer.
        self._told = tempfile.TemporaryFile()  # noqa: SIM115
        told = self._told.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(Path(__file__).parents[2]), str(told)],
            stdin=subprocess.DEVNULL,
            pass_fds=[told],
            env=environment,
        )

    def answer(self) -> dict[str, Any]:
        try:
            self._process.wait(timeout=_SECONDS)
            self._told.seek(0)
            facts: dict[str, Any] = json.loads(self._told.read())
            return facts
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            why = f"it did not answer within {_SECONDS} s; a GPU that is lost can hang it"
        except ValueError:
            why = f"it ended with {self._process.returncode}, as the lines above tell"
        raise _untold(why)


def _here(imported: Callable[[], Any]) -> dict[str, Any]:
    try:
        return torch_facts(imported())
    except Exception as error:
        raise _untold(describe(error)) from error


def _untold(why: str) -> HarnessError:
    return HarnessError("engine-failed", f"torch does not tell what this machine has: {why}")


def fingerprint(
    engine: Module,
    files: list[dict[str, str | int]],
    torch: Mapping[str, Any],
    gpus: Sequence[Mapping[str, Any]],
    devices: Devices,
    variables: Mapping[str, str],
) -> dict[str, Any]:
    """@param engine module of the engine, which knows its package and distributions
    @param torch what `Facts` read
    @param gpus that the engine can use
    @param devices what nvidia-smi told
    @param variables of the environment, before the engine was imported
    """
    cpuinfo = _read("/proc/cpuinfo")
    seen = [_gpu(gpu, devices) for gpu in gpus]
    return {
        "engine": {"name": engine.NAME, "version": version_of(engine.PACKAGE, engine.DISTRIBUTIONS)},
        "libraries": _libraries(torch),
        "files": files,
        "environment": environment(variables, engine.VARIABLES),
        "gpus": seen,
        "topology": devices.topology([gpu["uuidHash"] for gpu in seen]),
        "driver": _driver(gpus),
        "cpu": {
            "vendor": fact(_field(cpuinfo, "vendor_id", "CPU implementer")),
            "model": fact(_field(cpuinfo, "model name", "CPU part")),
            "level": cpu_level(platform.machine(), _field(cpuinfo, "flags", "Features").split()),
            "capability": fact(torch.get("capability")),
            "cores": len(os.sched_getaffinity(0)),
        },
        "memoryBytes": _memory(),
        "os": fact(_os_name()),
        "kernel": fact(platform.release()),
    }


def environment(variables: Mapping[str, str], own: Sequence[str]) -> dict[str, str]:
    """@param own beginnings of the names of the engine's own variables"""
    return {
        name: value[:4096]
        for name, value in sorted(variables.items())
        if name.startswith((*_PREFIXES, *own))
        and not (_SECRET.search(name) or _PLACE.search(name))
        and len(name) <= 128
    }


# Flags of /proc/cpuinfo that each psABI level adds; lzcnt is called `abm` there.
_LEVELS = (
    ("x86-64-v2", "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3"),
    ("x86-64-v3", "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"),
    ("x86-64-v4", "avx512f avx512bw avx512cd avx512dq avx512vl"),
)


def cpu_level(machine: str, flags: Iterable[str]) -> str:
    """psABI level with what decides bf16 kernels, e.g. `x86-64-v4-amx`: oneDNN chooses by exactly these."""
    have = set(flags)
    if machine == "aarch64":
        return "-".join(["aarch64", *(name for name in ("sve", "bf16") if name in have)])
    if machine != "x86_64":
        return machine or UNKNOWN
    if not have:
        return UNKNOWN
    level = "x86-64"
    for name, needed in _LEVELS:
        if not have.issuperset(needed.split()):
            break
        level = name
    if {"amx_tile", "amx_bf16"} <= have:
        return level + "-amx"
    return level + "-bf16" if "avx512_bf16" in have else level


def version_of(package: str, distributions: Iterable[str]) -> str:
    """Version of an installed package without importing it; community builds go by other distribution names."""
    for name in distributions:
        version = _version(name)
        if version != NONE:
            return version
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return NONE
    for name in ("_version.py", "version.py", "__init__.py"):
        match = re.search(r"""^_*version_*\s*=.*?['"]([^'"]+)['"]""", _read(Path(spec.origin).parent / name), re.M)
        if match:
            return match[1]
    return UNKNOWN


def fact(value: object) -> str:
    return str(value)[:MAX_FACT] if value not in (None, "") else UNKNOWN


def _libraries(torch: Mapping[str, Any]) -> dict[str, str]:
    config = torch.get("config", "")
    gpu_build = torch.get("cuda") or torch.get("hip")
    return {
        "python": platform.python_version(),
        "libc": "-".join(platform.libc_ver()) or UNKNOWN,
        **{name: _version(name) for name in _DISTRIBUTIONS},
        # What torch was built with and, on a GPU, what it found.
        "onednn": _built_with(config, r"MKL-DNN v([\w.]+)|oneDNN v([\w.]+)"),
        "mkl": _built_with(config, r"Math Kernel Library Version ([\w.]+)"),
        "cuda": _or_none(torch, torch.get("cuda")),
        "hip": _or_none(torch, torch.get("hip")),
        "cudnn": fact(torch.get("cudnn")) if gpu_build else _or_none(torch, None),
        "nccl": fact(torch.get("nccl")) if gpu_build else _or_none(torch, None),
        "cublas": _cublas() if gpu_build else _or_none(torch, None),
    }


def _or_none(torch: Mapping[str, Any], value: object) -> str:
    """Nothing is known of a torch that gave no facts; one that did has no CUDA if it named none."""
    return UNKNOWN if not torch else NONE if value is None else fact(value)


def _built_with(config: str, pattern: str) -> str:
    match = re.search(pattern, config)
    return next(group for group in match.groups() if group) if match else (NONE if config else UNKNOWN)


def _cublas() -> str:
    names = ("nvidia-cublas", "nvidia-cublas-cu13", "nvidia-cublas-cu12")
    return next((version for name in names if (version := _version(name)) != NONE), UNKNOWN)


def _version(distribution: str) -> str:
    try:
        return fact(importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return NONE


def _gpu(gpu: Mapping[str, Any], devices: Devices) -> dict[str, Any]:
    card = uuid_hash(gpu["uuid"]) or UNKNOWN
    return {
        "name": fact(gpu["name"]),
        "uuidHash": card,
        **devices.of(gpu, card),
        "computeCapability": gpu["arch"].partition(":")[0] or f"{gpu['major']}.{gpu['minor']}",
        "smCount": gpu["sms"],
        "memoryBytes": gpu["memory"],
    }


def _driver(gpus: Sequence[Mapping[str, Any]]) -> str:
    """nvidia-smi can hang on a lost GPU, so it gets little time; the kernel module tells the same."""
    if told := next((gpu["driver"] for gpu in gpus if gpu.get("driver")), None):
        return fact(told)
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        out = subprocess.run(query, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        if out.returncode == 0 and out.stdout.strip():
            return fact(out.stdout.split("\n")[0].strip())
    except (OSError, subprocess.TimeoutExpired):
        pass
    match = re.search(r"Kernel Module\s.*?(\d+\.\d[\d.]*)", _read("/proc/driver/nvidia/version"))
    if match:
        return match[1]
    amd = _read("/sys/module/amdgpu/version").strip()
    return amd or (UNKNOWN if gpus else NONE)


def _memory() -> int | str:
    """What this container may use, or the machine's."""
    match = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"), re.M)
    machine = int(match[1]) * 1024 if match else None
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    known = [size for size in (machine, int(limit) if limit.isdigit() else None) if size is not None]
    return min(known) if known else UNKNOWN


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return platform.system()


def _field(cpuinfo: str, *names: str) -> str:
    for name in names:
        match = re.search(rf"^{name}\s*:\s*(.+)$", cpuinfo, re.M)
        if match:
            return match[1].strip()
    return ""


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
