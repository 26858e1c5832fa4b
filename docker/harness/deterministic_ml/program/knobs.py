"""Which knobs of determinism are in force in this process: read back, and held against what was asked for."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..seeding import CUBLAS, Asked, asked

Value = str | int | bool | None
State = Literal["in-force", "not-in-force", "too-late", "not-yet", "unknown", "not-asked"]

STATES: Mapping[State, str] = {
    "in-force": "asked for, and read back so",
    "not-in-force": "asked for, and something else is in force",
    "too-late": "asked for after what reads it had read it",
    "not-yet": "asked for, and what reads it has not started",
    "unknown": "asked for, and nothing here tells whether it is in force",
    "not-asked": "what is in force; nobody asked",
}


@dataclass(frozen=True)
class Knob:
    name: str
    state: State
    # What was asked for by `set_deterministic` or the environment; None where nobody asked.
    asked: Value
    # What is in force; None where it is not set, or nothing here tells.
    value: Value
    # What the rest does not say, as one sentence; mostly empty.
    why: str = ""


@dataclass(frozen=True)
class InForce:
    """The knobs, by name. As text, a table of them."""

    knobs: tuple[Knob, ...]

    def __getitem__(self, name: str) -> Knob:
        for knob in self.knobs:
            if knob.name == name:
                return knob
        raise KeyError(name)

    def of(self, state: State) -> tuple[Knob, ...]:
        """Those in a state."""
        return tuple(knob for knob in self.knobs if knob.state == state)

    @property
    def not_taken(self) -> tuple[Knob, ...]:
        """Those that were asked for in vain: something else is in force, or they came too late."""
        return self.of("not-in-force") + self.of("too-late")

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values, by name."""
        return {knob.name: {key: told for key, told in asdict(knob).items() if key != "name"} for knob in self.knobs}

    def __str__(self) -> str:
        rows = [(knob.name, knob.state, _shown(knob.value), _wanted(knob), knob.why) for knob in self.knobs]
        widths = [max(map(len, column)) for column in list(zip(*rows))[:3]]
        return "\n".join("  ".join([*map(str.ljust, row[:3], widths), *filter(None, row[3:])]).rstrip() for row in rows)


def in_force() -> InForce:
    """Reads every knob back from where it counts. Changes nothing, and starts no CUDA; imports PyTorch where it can.

    A variable counts as it was when what reads it started: Python for PYTHONHASHSEED, CUDA for cuBLAS.
    """
    start = _environment_at_start()
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        torch = None
    knobs = [_hash_seed(start), _cannot_be_read("random.seed"), _cannot_be_read("numpy.random.seed")]
    if torch is not None:
        knobs += [_workspace(start, torch), _override(start, torch), _seed(torch), *_of_torch(torch)]
    return InForce(tuple(knob for knob in knobs if knob is not None))


def _hash_seed(start: Mapping[str, str] | None) -> Knob:
    name = "PYTHONHASHSEED"
    now = os.environ.get(name)
    # `-E` and `-I` leave the environment out.
    at_start = None if sys.flags.ignore_environment else (start or {}).get(name)
    # The flag is off for 0 alone: with another number it is as if hashes were random.
    value = "0" if not sys.flags.hash_randomization else None if start is None else (at_start or "random")
    if now is None:
        return Knob(name, "not-asked", None, value)
    if value is None:
        return Knob(name, "unknown", now, None, "This process's environment at its start cannot be read.")
    if now == value:
        return Knob(name, "in-force", now, value)
    if sys.flags.ignore_environment:
        return Knob(name, "not-in-force", now, value, "Python was started with -E or -I, and reads no variables.")
    return Knob(name, "too-late", now, value, "Python read it when it started.")


def _workspace(start: Mapping[str, str] | None, torch: Any) -> Knob:
    now = os.environ.get(CUBLAS)
    at_start = (start or {}).get(CUBLAS)
    if torch.version.cuda is None:
        return Knob(
            CUBLAS, "not-asked" if now is None else "unknown", now, None, "This PyTorch was built without CUDA."
        )
    if not torch.cuda.is_initialized():
        return Knob(CUBLAS, "not-asked" if now is None else "not-yet", now, None, "CUDA is not initialised.")
    if start is not None and now == at_start:
        return Knob(CUBLAS, "not-asked" if now is None else "in-force", now, now)
    noted = asked.get(CUBLAS)
    if noted is None or noted.value != now:
        why = "Nothing tells whether it was set before CUDA was initialised: the process did not start with it."
        return Knob(CUBLAS, "unknown", now, None, why)
    if not noted.cuda_initialised:
        return Knob(CUBLAS, "in-force", now, now)
    return Knob(
        CUBLAS, "too-late", now, at_start, "CUDA was initialised before it was set, and cuBLAS may have read it."
    )


def _override(start: Mapping[str, str] | None, torch: Any) -> Knob | None:
    """It overrules whatever a program sets. When NVIDIA's libraries read it is documented nowhere."""
    name = "NVIDIA_TF32_OVERRIDE"
    now = os.environ.get(name)
    if torch.version.cuda is None or (now is None and name not in (start or {})):
        return None
    if start is not None and now == start.get(name):
        return Knob(name, "in-force", now, now)
    return Knob(name, "unknown", now, None, "It changed after this process had started.")


def _seed(torch: Any) -> Knob:
    name = "torch.initial_seed"
    value: int = torch.initial_seed()
    wanted = asked.get(name)
    # PyTorch keeps a negative one by its 64 bits.
    if wanted is not None and int(wanted.value) % 2**64 == value:
        value = int(wanted.value)
    return _held(name, value, wanted)


def _cannot_be_read(name: str) -> Knob | None:
    """A generator does not tell the seed that it had."""
    wanted = asked.get(name)
    if wanted is None:
        return None
    return Knob(name, "unknown", wanted.value, None, "It was set; a generator does not tell its seed.")


def _held(name: str, value: Value, wanted: Asked | None) -> Knob:
    if wanted is None:
        return Knob(name, "not-asked", None, value)
    return Knob(name, "in-force" if value == wanted.value else "not-in-force", wanted.value, value)


def _of_torch(torch: Any) -> Iterator[Knob]:
    readers: dict[str, Callable[[], Value]] = {
        "torch.deterministic_algorithms": torch.are_deterministic_algorithms_enabled,
        "torch.deterministic_algorithms.warn_only": torch.is_deterministic_algorithms_warn_only_enabled,
        "torch.float32_matmul_precision": lambda: str(torch.get_float32_matmul_precision()),
        "torch.num_threads": torch.get_num_threads,
        "torch.cuda.is_initialized": torch.cuda.is_initialized,
        "torch.backends.cuda.flash_sdp_enabled": lambda: bool(torch.backends.cuda.flash_sdp_enabled()),
        "torch.backends.cuda.mem_efficient_sdp_enabled": lambda: bool(torch.backends.cuda.mem_efficient_sdp_enabled()),
        "torch.backends.cuda.math_sdp_enabled": lambda: bool(torch.backends.cuda.math_sdp_enabled()),
        "torch.backends.cuda.cudnn_sdp_enabled": lambda: bool(torch.backends.cuda.cudnn_sdp_enabled()),
        **{f"torch.{path}": _attribute(torch, path) for path in _FLAGS},
    }
    for name, read in readers.items():
        try:
            # Of PyTorch's two ways to say TF32, the older one warns.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = read()
        except AttributeError:
            # A version that does not have it yet, or has it no more.
            if wanted := asked.get(name):
                yield Knob(name, "unknown", wanted.value, None, "This PyTorch does not have it.")
            continue
        except RuntimeError:
            # PyTorch refuses to read TF32 in the older way once it was set in the newer.
            wanted = asked.get(name)
            state: State = "not-asked" if wanted is None else "unknown"
            why = (
                "PyTorch does not tell: TF32 was set by its older and its newer settings, which contradict each other."
            )
            yield Knob(name, state, None if wanted is None else wanted.value, None, why)
            continue
        yield _held(name, value, asked.get(name))


_FLAGS = (
    *("backends.cudnn.enabled", "backends.cudnn.deterministic", "backends.cudnn.benchmark"),
    # TF32 by PyTorch's older settings, and by those of 2.9 and newer.
    *("backends.cudnn.allow_tf32", "backends.cuda.matmul.allow_tf32", "backends.fp32_precision"),
    *("backends.cuda.matmul.fp32_precision", "backends.cudnn.fp32_precision"),
    *("backends.cudnn.conv.fp32_precision", "backends.cudnn.rnn.fp32_precision"),
    *("backends.mkldnn.fp32_precision", "backends.mkldnn.deterministic"),
    "backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
    "backends.cuda.matmul.allow_bf16_reduced_precision_reduction",
    "backends.cuda.matmul.allow_fp16_accumulation",
    "utils.deterministic.fill_uninitialized_memory",
)


def _attribute(torch: Any, path: str) -> Callable[[], Value]:
    def read() -> Value:
        found: Any = torch
        for part in path.split("."):
            found = getattr(found, part)
        # Some tell a tuple of what they are made of.
        return found if isinstance(found, (str, int)) else str(found)

    return read


def _environment_at_start() -> Mapping[str, str] | None:
    """The variables with which this process was started; None where that cannot be read."""
    try:
        told = Path("/proc/self/environ").read_bytes()
    except OSError:
        return None
    pairs = [entry.partition(b"=") for entry in told.split(b"\0") if entry]
    # A program that changes its title writes over them.
    if not all(separator for _, separator, _ in pairs):
        return None
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _shown(value: Value) -> str:
    return "-" if value is None else str(value)


def _wanted(knob: Knob) -> str:
    return f"(asked: {_shown(knob.asked)})" if knob.asked != knob.value and knob.asked is not None else ""
