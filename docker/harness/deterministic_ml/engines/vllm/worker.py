"""What the workers do for us: vLLM adds `Extension` to its own worker class, in each of its processes.

Every worker imports this before it loads the model, so that a perturbation of the weights is put in place here. A
method is called by its name: nothing need be shipped to the workers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ...harness.lifeline import identity
from ..common import variables
from . import determinism
from .perturb import weights

if TYPE_CHECKING:
    from ..common.noise import Noise
    from ..observation import Channel, Digest
    from .rows import Tracing

_change = weights.install()


class Extension:
    _tracing: Tracing
    _noise: Noise

    # Of vLLM's worker.
    vllm_config: Any
    model_runner: Any

    def describe_worker(self) -> dict[str, Any]:
        """Its process, the attention backends of its layers, whether its kernels are batch-invariant, and by what the
        ranks are summed."""
        layers = self.vllm_config.compilation_config.static_forward_context.values()
        backends = {layer.get_attn_backend().get_name() for layer in layers if hasattr(layer, "get_attn_backend")}
        return {
            "process": identity(os.getpid()),
            "backends": sorted(backends),
            "batch_invariant": determinism.batch_invariant(),
            "collectives": _collectives(),
        }

    def tell_variables(self, names: list[str]) -> dict[str, str]:
        """Of the environment, as the worker has them."""
        return variables.here(names)

    def weight_changes(self) -> str | None:
        """What the perturbation changed in the weights as they were loaded, in words."""
        return None if _change is None else _change.told

    def give_tokens(self) -> str | None:
        """Makes Model Runner V2 take given tokens; gives the reason why it cannot."""
        from . import sampler

        # Only the last stage of a pipeline samples.
        mine = self.model_runner.sampler
        return None if mine is None else sampler.install(mine)

    def begin_noise(self, seed: int) -> None:
        from ..common.noise import Noise

        self._noise = Noise(self.model_runner.get_model(), seed)

    def end_noise(self) -> None:
        self._noise.remove()

    def begin_trace(self, digested: bool, roles: bool) -> None:
        from .rows import Tracing

        self._tracing = Tracing(self.model_runner, digested, roles)

    def expect_trace(self, requests: dict[str, int]) -> None:
        self._tracing.expect(requests)

    def end_trace(self) -> dict[str, list[Digest]]:
        return self._tracing.end()

    def traced_roles(self) -> dict[str, Channel]:
        return self._tracing.roles()


def _collectives() -> str:
    """What of torch connects the ranks: `nccl`, `gloo`."""
    import torch

    distributed = torch.distributed
    return str(distributed.get_backend()) if distributed.is_available() and distributed.is_initialized() else "none"
