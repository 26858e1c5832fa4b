"""The harness's fingerprint of this machine, for a program of a user's: of an engine `script`."""

from __future__ import annotations

import hashlib
import os
import re
import types
from collections.abc import Mapping
from typing import Any

from ..harness.errors import HarnessError
from ..harness.fingerprint import Facts
from ..harness.fingerprint import fingerprint as fingerprint_of
from ..harness.health import Watch

ENGINE = "script"
UNKNOWN = "unknown"
# Of a class: many kinds of cards are cut.
_MAX_LENGTH = 128


def fingerprint() -> dict[str, Any]:
    """What the numbers may depend on here, as the harness tells it of an engine: libraries, GPUs, CPU, driver.

    What torch knows of the GPUs is asked of a child, so that this process's CUDA stays as it is: it takes as long as an
    import of torch, and more on a GPU. Without torch nvidia-smi is asked, which does not tell the number of SMs. A fact
    that cannot be read is `unknown`, one that cannot exist `none`.

    :raises RuntimeError: for a torch that does not tell what this machine has
    """
    watch = Watch(listed=os.environ.get("CUDA_VISIBLE_DEVICES"))
    health = watch.before()
    try:
        torch = Facts().wait()
    except HarnessError as error:
        raise RuntimeError(error.message) from error
    engine: Any = types.SimpleNamespace(NAME=ENGINE, PACKAGE="json", DISTRIBUTIONS=(), VARIABLES=())
    gpus = watch.gpus(torch, health)
    told = fingerprint_of(engine, [], torch, gpus, watch.devices, os.environ)
    return {**told, "engine": {"name": ENGINE, "version": UNKNOWN}}


def recorded(told: Mapping[str, Any]) -> dict[str, Any]:
    """As a record has it: `Fingerprint` of the schema. A script has no image, and tells no model."""
    declared = {
        "image": {"reference": "none", "digest": "none", "certainty": UNKNOWN},
        "engine": told["engine"],
        "libraries": told["libraries"],
        "model": {"label": UNKNOWN, "revision": UNKNOWN, "files": told["files"]},
        "environment": told["environment"],
    }
    names = ("gpus", "topology", "driver", "cpu", "memoryBytes", "os", "kernel")
    return {"declared": declared, "ambient": {**{name: told[name] for name in names}, "runtime": "process"}}


def hardware_class(told: Mapping[str, Any]) -> str:
    """As src/fingerprint/hardware-class.ts makes it."""
    gpus, cpu = told["gpus"], told["cpu"]
    if not gpus:
        return _slug(f"cpu-{cpu['vendor']}-{cpu['level']}")
    kinds = {f"{gpu['name']}-{_architecture(gpu['computeCapability'])}-sm{gpu['smCount']}" for gpu in gpus}
    return _slug("-".join(sorted(kinds)), f"-x{len(gpus)}")


def _architecture(capability: str) -> str:
    return capability if re.match("gfx|xe", capability) else f"cc{capability}"


def _slug(text: str, end: str = "") -> str:
    whole = re.sub(r"^[-.]+|[-.]+$", "", re.sub(r"[^a-z0-9.]+", "-", text.lower()))
    if len(whole) + len(end) <= _MAX_LENGTH:
        return f"{whole}{end}"
    told = f"-{hashlib.sha256(whole.encode()).hexdigest()[:12]}{end}"
    return f"{whole[: _MAX_LENGTH - len(told)]}{told}"
