"""Seeds and deterministic algorithms of PyTorch, and a note of what was asked for: `in_force` holds it against what is.

It needs the standard library alone; NumPy and PyTorch are seeded where they are installed.
"""

from __future__ import annotations

import logging
import os
import random
import warnings
from dataclasses import dataclass

_log = logging.getLogger("deterministic_ml.v1")

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


@dataclass(frozen=True)
class Asked:
    value: str | int | bool
    # When it was asked for: what reads it then has done so.
    cuda_initialised: bool = False


# What this process asked for, by the names of `program/knobs.py`.
asked: dict[str, Asked] = {}


def set_deterministic(seed: int, *, any_card: bool = False) -> None:
    """Seeds Python, NumPy and PyTorch, and makes PyTorch choose deterministic algorithms.

    Libraries that are not installed are left out. Generators made elsewhere with a seed of their own, and the hashes
    of strings (PYTHONHASHSEED, which must be set before Python starts), are beyond its reach.

    :param any_card: see `set_deterministic_pytorch`
    """
    _log.info("deterministic mode, seed %r, any_card %r", seed, any_card)
    random.seed(seed)
    _note("random.seed", seed)
    try:
        import numpy
    except ImportError:
        pass
    else:
        numpy.random.seed(seed)
        _note("numpy.random.seed", seed)
    try:
        set_deterministic_pytorch(seed, any_card=any_card)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise


def set_deterministic_pytorch(seed: int, *, any_card: bool = False) -> None:
    """Seeds PyTorch on every device and makes it choose deterministic algorithms, warning where it has none.

    Call it before the first use of CUDA: cuBLAS reads its workspace setting when it starts, and `in_force` tells where
    that was too late. See https://pytorch.org/docs/stable/notes/randomness.html

    :param any_card: also turn off TF32, whose rounding only newer cards have. Slower, and still no promise that
        different cards agree: they do where architecture and number of SMs are the same.
    """
    # Of the two values that cuBLAS documents as reproducible, the one with more workspace. The user's own wins.
    own = CUBLAS not in os.environ
    workspace = os.environ.setdefault(CUBLAS, ":4096:8")

    import torch

    initialised = torch.cuda.is_initialized()
    # Of the user's own, once CUDA is initialised, nobody knows which of the two was first.
    if own or not initialised:
        _note(CUBLAS, workspace, cuda_initialised=initialised)
    torch.manual_seed(seed)
    _note("torch.initial_seed", seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    _note("torch.deterministic_algorithms", True)
    torch.backends.cudnn.deterministic = True
    _note("torch.backends.cudnn.deterministic", True)
    torch.backends.cudnn.benchmark = False
    _note("torch.backends.cudnn.benchmark", False)
    if any_card:
        warnings.warn(
            "any_card makes PyTorch slower and does not guarantee the same results on all cards.",
            UserWarning,
            stacklevel=2,
        )
        torch.backends.cudnn.allow_tf32 = False
        _note("torch.backends.cudnn.allow_tf32", False)
        torch.backends.cuda.matmul.allow_tf32 = False
        _note("torch.backends.cuda.matmul.allow_tf32", False)


def _note(name: str, value: str | int | bool, *, cuda_initialised: bool = False) -> None:
    before = asked.get(name)
    # The same again changes nothing of when it was first there.
    if before is None or before.value != value:
        asked[name] = Asked(value, cuda_initialised)
