"""From the `load` command to a model in memory."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...harness.channel import Command
from ...harness.errors import HarnessError, explain
from ..common import files, pytorch
from ..common.prompts import refuse_prompts
from ..common.weights import CHANGES
from .arguments import Arguments, parse
from .engine import Transformers
from .loaded import LoadedModel
from .pooling import pooling_of

_CLASSES = {
    "generate": "AutoModelForCausalLM",
    "embed": "AutoModel",
    "reward": "AutoModelForSequenceClassification",
}


def load_engine(model: str, command: Command, scratch: Path) -> Transformers:
    args, dropped = parse(command["args"], command["defaults"])
    _refuse_pickles(Path(model))
    pooling = pooling_of(Path(model), args)
    # How long a prompt may be it does not say: positions go on where the weights have seen none.
    refuse_prompts(model, command, limit=None)
    perturbation: Mapping[str, Any] | None = command["perturbation"]
    edit = None if perturbation is None else _edit(perturbation, Path(model))
    folder = Path(model) if edit is None else files.overlay(Path(model), edit, scratch)
    try:
        tokenizer, made = _load(str(folder), args)
        perturbed = _perturb(made, folder, perturbation) if edit is None and perturbation is not None else None
    except HarnessError:
        raise
    except Exception as error:
        raise _refusal(error, Path(model)) or explain(error) from error
    if edit is not None:
        perturbed = edit.told(files.Loaded(tokenizer, str(made.config)))
    return Transformers(LoadedModel(made, tokenizer, args, pooling), dropped, perturbed)


def _refuse_pickles(model: Path) -> None:
    """Nothing else is read: a pickle is a program."""
    if any(model.glob("*.safetensors")):
        return
    found = sorted(path.name for path in model.iterdir() if path.suffix in (".bin", ".pt", ".pth"))
    raise HarnessError(
        "engine-rejected", f"the model has no weights in safetensors: {', '.join(found) or 'none at all'}"
    )


def _edit(perturbation: Mapping[str, Any], model: Path) -> files.Edit | None:
    kind = perturbation["kind"]
    if kind in files.EDITS:
        return files.EDITS[kind](model)
    if kind not in CHANGES:
        raise HarnessError("protocol-violation", f"this harness knows no perturbation `{kind}`")
    return None


def _load(folder: str, args: Arguments) -> tuple[Any, Any]:
    import torch
    import transformers

    pytorch.make_repeatable(args)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model, told = getattr(transformers, _CLASSES[args.task]).from_pretrained(
        folder,
        dtype=args.dtype if args.dtype == "auto" else getattr(torch, args.dtype),
        attn_implementation=args.attn_implementation,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
    )
    # Its head would be drawn by the seed: numbers that no training chose.
    if args.task == "reward" and (missing := sorted(told["missing_keys"])):
        raise HarnessError("engine-rejected", f"the model's files lack weights of a reward: {missing[0]}")
    device = pytorch.device_of(args.device)
    if torch.device(device).type != "cpu":
        # All that is left to the host is to draw tokens: many threads would wait for one another, and how many there
        # are would be in the bits of what is drawn.
        torch.set_num_threads(1)
    return tokenizer, model.eval().to(device)


def _perturb(model: Any, folder: Path, perturbation: Mapping[str, Any]) -> str:
    """Changes the weights in place, and says in words what was changed.

    In the format of the file: the lowest bit of a bfloat16 is no small one of a float32.
    """
    import torch

    change = CHANGES[perturbation["kind"]](perturbation)
    layers = int(model.config.get_text_config().num_hidden_layers)
    formats = _formats(folder)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            stored = weight.to(formats.get(name, weight.dtype))
            changed = change.apply(name, stored, layers)
            if changed is not stored:
                weight.copy_(changed)
    if change.told is None:
        raise HarnessError("engine-failed", "no weight fits the perturbation: none changed")
    return change.told


def _formats(folder: Path) -> dict[str, Any]:
    """Tensor -> the format that it is stored in."""
    import torch
    from safetensors import safe_open

    names = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    found: dict[str, Any] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in sorted(tensors.keys()):
                told = tensors.get_slice(name).get_dtype()
                if told in names:
                    found[name] = names[told]
    return found


def _refusal(error: Exception, model: Path) -> HarnessError | None:
    """What is wrong with the arguments or the model rather than with the engine."""
    message = str(error)
    if any("/quantizers/" in frame.filename for frame in traceback.extract_tb(error.__traceback__)):
        quantization = json.loads((model / "config.json").read_text(encoding="utf-8")).get("quantization_config") or {}
        return HarnessError("engine-rejected", f"quantization {quantization.get('quant_method')}: {message}")
    if isinstance(error, (ValueError, ImportError)) and "attn" in message.lower():
        return HarnessError("engine-rejected", f"attn_implementation: {message}")
    if isinstance(error, (RuntimeError, AssertionError)) and "device" in message.lower():
        return HarnessError("engine-rejected", f"device: {message}")
    return None
