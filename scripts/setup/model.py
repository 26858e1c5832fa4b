"""Writes a GGUF model as the folder that Hugging Face would serve: bfloat16 safetensors, config, tokenizer.

Usage: model.py FILE.gguf FOLDER. The same file gives the same bytes.
"""

import functools
import sys
from pathlib import Path

import gguf
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def read_once() -> None:
    """Transformers reads the file for tokenizer, config and weights, and makes the table of names for each module."""
    gguf.GGUFReader = functools.cache(gguf.GGUFReader)
    gguf.get_tensor_name_map = functools.cache(gguf.get_tensor_name_map)


def convert(file: Path, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    tokenizer.save_pretrained(folder)

    print("dequantising", file.name, flush=True)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.bfloat16)
    # save_pretrained refuses a model that was read from GGUF, and its config still calls itself quantised.
    del model.config.quantization_config
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tensors = model.state_dict()
    if model.config.tie_word_embeddings:
        # The same storage under two names, which safetensors rejects.
        del tensors["lm_head.weight"]
    print("writing", len(tensors), "tensors", flush=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    # safetensors makes files private, but the user of a container must be able to read them.
    for written in folder.iterdir():
        written.chmod(0o644)


if __name__ == "__main__":
    read_once()
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
