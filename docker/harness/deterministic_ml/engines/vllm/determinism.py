"""Whether vLLM's batch invariance is in force in a worker, as opposed to asked for. Runs in the workers."""

from __future__ import annotations

import os
import sys

VARIABLE = "VLLM_BATCH_INVARIANT"
# Module -> the flag that it sets once its kernels have taken the place of PyTorch's (0.11 to 0.26, and 0.30 on).
_MODULES = ("vllm.model_executor.layers.batch_invariant", "vllm.model_executor.determinism.batch_invariant")
_FLAG = "_batch_invariant_MODE"


def is_asked() -> bool:
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def batch_invariant() -> bool | None:
    """None where this version does not tell, and where nobody asked for it."""
    if not is_asked():
        return None
    from vllm.platforms import current_platform

    # Its kernels are Triton's: on a CPU the flag is set all the same, and none of them can run.
    if current_platform.is_cpu():
        return False
    flags = [getattr(sys.modules.get(name), _FLAG, None) for name in _MODULES]
    told = [flag for flag in flags if isinstance(flag, bool)]
    return any(told) if told else None
