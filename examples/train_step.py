"""One training step of a tiny language model of bytes: examples/script.yml holds it to its bits."""

from __future__ import annotations

import torch
from deterministic_ml.v1 import Emit
from torch import nn

WIDTH = 64


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bytes = nn.Embedding(256, WIDTH)
        self.layer = nn.TransformerEncoderLayer(WIDTH, nhead=4, dim_feedforward=128, dropout=0.0, batch_first=True)
        self.head = nn.Linear(WIDTH, 256)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.head(self.layer(self.bytes(tokens), mask, is_causal=True))


def run(prompt: str, emit: Emit, micro_batches: int = 1) -> None:
    """Called once for each prompt, with all seeds set anew: the first weights are the same in every call."""
    model = Tiny()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    # Eight rows, each begun a byte later.
    text = torch.tensor(list(prompt.encode()))
    rows = torch.stack([text.roll(-at) for at in range(8)])
    losses = []
    for part in rows.chunk(micro_batches):
        logits = model(part[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten()) / micro_batches
        # Gradients add up from part to part: in another order than those of one batch.
        loss.backward()
        losses.append(loss.detach())
    emit("loss", torch.stack(losses).sum())
    emit("gradients", {name: weight.grad for name, weight in model.named_parameters()})
    optimiser.step()
    emit("weights", model.state_dict())
