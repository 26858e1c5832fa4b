"""Changes a model on purpose as it is loaded, to learn which changes a check would notice.

Without a perturbation nothing here touches vLLM.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....harness.errors import HarnessError
from ...common import files
from ...common.weights import CHANGES
from . import weights


@dataclass(frozen=True)
class Perturbed:
    """What is to be loaded, and what can be asked of the engine once it is."""

    model: str
    # What was really changed, in words; raises if nothing was.
    told: Callable[[Any], str | None]


@contextmanager
def perturbing(perturbation: Mapping[str, Any] | None, model: str, scratch: Path) -> Iterator[Perturbed]:
    """While the engine loads. The model's own folder is never written to."""
    if perturbation is None:
        yield Perturbed(model, lambda _: None)
    elif perturbation["kind"] in files.EDITS:
        edit = files.EDITS[perturbation["kind"]](Path(model))
        yield Perturbed(
            str(files.overlay(Path(model), edit, scratch)),
            lambda llm: edit.told(
                files.Loaded(llm.get_tokenizer(), str(llm.llm_engine.vllm_config.model_config.hf_text_config))
            ),
        )
    elif perturbation["kind"] in CHANGES:
        # The weights are read in the workers, which may be processes of their own.
        os.environ[weights.VARIABLE] = json.dumps(perturbation)
        try:
            yield Perturbed(model, weights.told)
        finally:
            del os.environ[weights.VARIABLE]
    else:
        raise HarnessError("protocol-violation", f"this harness knows no perturbation `{perturbation['kind']}`")
