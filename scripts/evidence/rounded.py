"""Copies a model's folder, its linear weights rounded and scaled back, row by row: `rounded.py FROM TO int8|fp8`."""

import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

source, target, to = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
FP8 = torch.float8_e4m3fn
LARGEST = {"int8": 127.0, "fp8": torch.finfo(FP8).max}[to]
target.mkdir(parents=True)
for path in source.iterdir():
    if path.suffix != ".safetensors":
        shutil.copy(path, target / path.name)
        continue
    tensors = load_file(path)
    for name, weight in tensors.items():
        if weight.dim() != 2 or "embed" in name or "lm_head" in name:
            continue
        wide = weight.float()
        scale = wide.abs().amax(1, keepdim=True).clamp(min=1e-12) / LARGEST
        scaled = wide / scale
        kept = scaled.round() if to == "int8" else scaled.to(FP8).float()
        tensors[name] = (kept * scale).to(weight.dtype)
    save_file(tensors, target / path.name, metadata={"format": "pt"})
