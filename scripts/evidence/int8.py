"""Copies a model's folder, its linear weights rounded to int8 and back, a scale for each row: `int8.py FROM TO`."""

import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

source, target = Path(sys.argv[1]), Path(sys.argv[2])
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
        scale = wide.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
        tensors[name] = ((wide / scale).round() * scale).to(weight.dtype)
    save_file(tensors, target / path.name, metadata={"format": "pt"})
