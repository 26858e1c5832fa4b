"""What the distribution offers to a user's own program, in processes of their own."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import support
from deterministic_ml import v1
from deterministic_ml.program.surroundings import hardware_class

HARNESS = Path(support.__file__).resolve().parents[2] / "docker" / "harness"
LISTING = Path(__file__).parent / "v1-api.txt"

# A torch with CUDA, as far as knobs look at it: `start` is the first use of CUDA.
_TORCH = """
from types import SimpleNamespace as Of

_state = {"started": False, "seed": 0, "deterministic": False}
def start(): _state["started"] = True
version = Of(cuda="13.0", hip=None)
cuda = Of(is_initialized=lambda: _state["started"])
class Matmul:
    allow_tf32 = True
    @property
    def fp32_precision(self): raise RuntimeError("mix of the legacy and new APIs")
class Cudnn:
    deterministic = False
    allow_tf32 = True
    # As a build whose flags are frozen: it takes what is set, and goes on as before.
    benchmark = property(lambda self: True, lambda self, value: None)
backends = Of(cudnn=Cudnn(), cuda=Of(matmul=Matmul()))
def manual_seed(seed): _state["seed"] = seed % 2**64
def initial_seed(): return _state["seed"]
def use_deterministic_algorithms(mode, *, warn_only): _state["deterministic"] = mode
def are_deterministic_algorithms_enabled(): return _state["deterministic"]
def is_deterministic_algorithms_warn_only_enabled(): return True
def get_num_threads(): return 4
def get_float32_matmul_precision(): return "highest"
"""


def told(program: str, environment: dict[str, str] | None = None, *flags: str, torch: bool = True) -> dict[str, Any]:
    """What `in_force` says at the end of a program."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "torch.py").write_text(_TORCH if torch else "raise ModuleNotFoundError(name='torch')")
        paths = [folder, str(HARNESS)]
        code = (
            f"import sys; sys.path[:0] = {paths!r}\nimport json, os\n"
            "from deterministic_ml.v1 import in_force, set_deterministic\n"
            f"{program}\njson.dump(in_force().as_dict(), sys.stdout)"
        )
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
        done = subprocess.run(
            [sys.executable, *flags, "-c", code],
            env={**kept, **(environment or {})},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        knobs: dict[str, Any] = json.loads(done.stdout)
        return knobs


def state(knobs: dict[str, Any], name: str) -> tuple[str, Any, Any]:
    return knobs[name]["state"], knobs[name]["asked"], knobs[name]["value"]


CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


class WorkspaceTest(unittest.TestCase):
    def test_that_is_set_before_cuda_starts_is_in_force(self) -> None:
        before = told("set_deterministic(1)")
        self.assertEqual(state(before, CUBLAS), ("not-yet", ":4096:8", None))
        after = told("set_deterministic(1)\nimport torch; torch.start()")
        self.assertEqual(state(after, CUBLAS), ("in-force", ":4096:8", ":4096:8"))

    def test_that_is_set_after_it_came_too_late_though_the_environment_has_it(self) -> None:
        knobs = told("import torch; torch.start()\nset_deterministic(1)\nassert os.environ['CUBLAS_WORKSPACE_CONFIG']")
        self.assertEqual(state(knobs, CUBLAS), ("too-late", ":4096:8", None))
        self.assertIn("CUDA was initialised before", knobs[CUBLAS]["why"])

    def test_that_is_asked_for_again_stays_too_late_and_one_in_time_stays_in_time(self) -> None:
        late = told("import torch; torch.start()\nset_deterministic(1)\nset_deterministic(2)")
        self.assertEqual(late[CUBLAS]["state"], "too-late")
        early = told("set_deterministic(1)\nimport torch; torch.start()\nset_deterministic(2)")
        self.assertEqual(early[CUBLAS]["state"], "in-force")

    def test_with_which_the_process_started_is_in_force(self) -> None:
        knobs = told("import torch; torch.start()\nset_deterministic(1)", {CUBLAS: ":16:8"})
        self.assertEqual(state(knobs, CUBLAS), ("in-force", ":16:8", ":16:8"))

    def test_that_somebody_else_set_meanwhile_is_not_known(self) -> None:
        knobs = told(
            "os.environ['CUBLAS_WORKSPACE_CONFIG'] = ':16:8'\nimport torch; torch.start()\nset_deterministic(1)"
        )
        self.assertEqual(state(knobs, CUBLAS), ("unknown", ":16:8", None))


class HashSeedTest(unittest.TestCase):
    def test_that_is_set_by_the_program_came_too_late(self) -> None:
        knobs = told("os.environ['PYTHONHASHSEED'] = '0'", torch=False)
        self.assertEqual(state(knobs, "PYTHONHASHSEED"), ("too-late", "0", "random"))

    def test_with_which_python_started_is_in_force(self) -> None:
        for seed in ("0", "42"):
            knobs = told("", {"PYTHONHASHSEED": seed}, torch=False)
            self.assertEqual(state(knobs, "PYTHONHASHSEED"), ("in-force", seed, seed))

    def test_is_not_in_force_where_python_reads_no_variables(self) -> None:
        knobs = told("", {"PYTHONHASHSEED": "0"}, "-E", torch=False)
        self.assertEqual(state(knobs, "PYTHONHASHSEED"), ("not-in-force", "0", "random"))


class TorchTest(unittest.TestCase):
    def test_a_knob_that_did_not_take_is_told_with_both_values(self) -> None:
        knobs = told("set_deterministic(5)\nfrom deterministic_ml.v1 import *\nset_deterministic_pytorch(-5)")
        self.assertEqual(state(knobs, "torch.backends.cudnn.benchmark"), ("not-in-force", False, True))
        self.assertEqual(state(knobs, "torch.backends.cudnn.deterministic"), ("in-force", True, True))
        self.assertEqual(state(knobs, "torch.initial_seed"), ("in-force", -5, -5))
        self.assertEqual(state(knobs, "random.seed"), ("unknown", 5, None))

    def test_what_torch_refuses_to_tell_is_told_as_that(self) -> None:
        knob = told("")["torch.backends.cuda.matmul.fp32_precision"]
        self.assertEqual((knob["state"], knob["value"]), ("not-asked", None))
        self.assertIn("contradict", knob["why"])

    def test_what_was_turned_back_is_not_in_force(self) -> None:
        knobs = told(
            "import warnings; warnings.simplefilter('ignore')\nset_deterministic(1, any_card=True)\n"
            "import torch; torch.backends.cudnn.allow_tf32 = True"
        )
        self.assertEqual(state(knobs, "torch.backends.cudnn.allow_tf32"), ("not-in-force", False, True))
        self.assertEqual(state(knobs, "torch.backends.cuda.matmul.allow_tf32"), ("in-force", False, False))

    def test_without_it_the_others_are_told(self) -> None:
        self.assertEqual(list(told("", torch=False)), ["PYTHONHASHSEED"])


class HardwareClassTest(unittest.TestCase):
    def test_of_many_kinds_of_cards_is_the_one_that_the_action_gives(self) -> None:
        names = (
            "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
            "NVIDIA RTX 6000 Ada Generation",
            "NVIDIA RTX PRO 5000 Blackwell Generation Laptop GPU",
        )
        gpus = [{"name": name, "computeCapability": "12.0", "smCount": 188} for name in names]
        # test/unit/fingerprint/fingerprint.test.ts has the same.
        self.assertEqual(
            hardware_class({"gpus": gpus, "cpu": {}}),
            "nvidia-rtx-6000-ada-generation-cc12.0-sm188-"
            "nvidia-rtx-pro-5000-blackwell-generation-laptop-gpu-cc12.0-sm188-nvi-2e491c7bb6d8-x3",
        )


class ApiTest(unittest.TestCase):
    def test_is_the_one_that_is_listed(self) -> None:
        self.assertEqual(
            listing(), LISTING.read_text(), "a change of deterministic_ml.v1: it may grow, and keeps what it has"
        )


def listing() -> str:
    lines = []
    for name in sorted(v1.__all__):
        thing = getattr(v1, name)
        lines.append(f"{name}{_signature(thing)}")
        if inspect.isclass(thing):
            lines += [f"{name}.{field}: {kind}" for field, kind in thing.__annotations__.items() if field[0] != "_"]
            for member, value in sorted(vars(thing).items()):
                if isinstance(value, property):
                    assert value.fget is not None
                    lines.append(f"{name}.{member}{_signature(value.fget)}  (property)")
                elif inspect.isfunction(value) and (
                    member[0] != "_" or member in ("__getitem__", "__call__", "__str__")
                ):
                    lines.append(f"{name}.{member}{_signature(value)}")
    return "\n".join([*lines, ""])


def _signature(thing: Any) -> str:
    return str(inspect.signature(thing)).replace("'", "")


if __name__ == "__main__":
    LISTING.write_text(listing())
