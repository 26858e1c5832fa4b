"""Writes a GGUF model as the folder that Hugging Face would serve: bfloat16 safetensors, config, tokenizer.

Usage: model.py FILE.gguf FOLDER. The same file gives the same bytes.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def convert(gguf: Path, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.save_pretrained(folder)

    print("dequantising", gguf.name, flush=True)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
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
    for file in folder.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
