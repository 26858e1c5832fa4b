"""Which module of a model plays which role: the one table by which models of different engines are held side by side.

Engines name and cut the same model in their own ways: what one computes as `q_proj`, `k_proj` and `v_proj`, another
does in one `qkv_proj`. A role is what they have in common. `ARCHITECTURES` has a table for each class of model, by the
name that both engines give it; a role's names are tried in turn, and several of them lie side by side in the order of
their columns.

What a role gave is kept as a sketch: sums of its numbers in a few buckets, each number with a sign by chance. Sketches
add up, and the sum over the buckets of the squared difference of two of them is the squared distance of what they are
sketches of, to about 9 %: the signs are independent, so that all mixed products vanish on average. The sign of a number
depends on its token and column alone, so that it is the same in any engine, however a prefill is cut.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch

from ..observation import Channel

CHANNEL = "roles"
# A prime, so that one column comes into all of them.
BUCKETS = 251
# As many signs are drawn: a prime, so that rows of any width begin at another one each time.
_DRAWN = 4_194_301
# Numbers that are dealt out at a time.
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Architecture:
    # Role -> ways to name its modules.
    before: Mapping[str, Sequence[Sequence[str]]]
    # The same within each layer.
    layer: Mapping[str, Sequence[Sequence[str]]]
    after: Mapping[str, Sequence[Sequence[str]]]
    layers: str = "model.layers"
    # Roles that no module gives in every engine: what this one is given.
    inputs: frozenset[str] = frozenset({"attention"})


_LLAMA = Architecture(
    before={"embed": [["model.embed_tokens"]]},
    layer={
        "norm-1": [["input_layernorm"]],
        "qkv": [["self_attn.qkv_proj"], ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]],
        "attention": [["self_attn.o_proj"]],
        "o": [["self_attn.o_proj"]],
        "norm-2": [["post_attention_layernorm"]],
        "gate-up": [["mlp.gate_up_proj"], ["mlp.gate_proj", "mlp.up_proj"]],
        "down": [["mlp.down_proj"]],
    },
    after={"norm": [["model.norm"]]},
)

# Tried with the first; the others have the same names in both engines' sources.
ARCHITECTURES: Mapping[str, Architecture] = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": _LLAMA,
    "Qwen2ForCausalLM": _LLAMA,
    "Qwen3ForCausalLM": _LLAMA,
}


@dataclass(frozen=True)
class Part:
    """What one module contributes to a role: its columns from `offset` on, of `width` in all; 0 for just its own."""

    role: str
    offset: int
    width: int
    of_input: bool


def parts_of(model: torch.nn.Module) -> dict[str, list[Part]]:
    """Module -> its parts, in the order in which a model runs; empty for an architecture that has no table."""
    architecture = ARCHITECTURES.get(type(model).__name__)
    if architecture is None:
        return {}
    modules = dict(model.named_modules())
    found: dict[str, list[Part]] = {}

    def add(role: str, ways: Sequence[Sequence[str]], prefix: str = "", of_input: bool = False) -> None:
        way = next((way for way in ways if all(prefix + name in modules for name in way)), None)
        if way is None:
            return
        widths = [0] if len(way) == 1 else [modules[prefix + name].weight.shape[0] for name in way]
        for at, name in enumerate(way):
            width = sum(widths) if len(way) > 1 else 0
            found.setdefault(prefix + name, []).append(Part(role, sum(widths[:at]), width, of_input))

    for role, ways in architecture.before.items():
        add(role, ways)
    layer = 0
    while f"{architecture.layers}.{layer}" in modules:
        for role, ways in architecture.layer.items():
            add(f"layers.{layer}.{role}", ways, f"{architecture.layers}.{layer}.", role in architecture.inputs)
        layer += 1
    for role, ways in architecture.after.items():
        add(role, ways)
    return found


@dataclass
class Sketch:
    """Of one part, for one request, while it grows."""

    part: Part
    # Rows that make it whole.
    limit: int
    rows: int = 0
    # The sum of all squares, then the buckets.
    numbers: torch.Tensor = field(default_factory=lambda: torch.zeros(1 + BUCKETS, dtype=torch.float64))

    def take(self, rows: torch.Tensor, first: int) -> None:
        """Rows from the request's token `first` on, on the host."""
        # What a pass makes is an inference tensor, and a thread of its own does not know of that.
        with torch.inference_mode():
            self._add(rows, first)

    def _add(self, rows: torch.Tensor, first: int) -> None:
        width = rows[0].numel()
        by_row = rows.reshape(len(rows), width)
        columns = torch.arange(width) + self.part.offset
        step = max(1, _AT_ONCE // max(1, width))
        for begin in range(0, len(by_row), step):
            values = by_row[begin : begin + step].double()
            tokens = torch.arange(first + begin, first + begin + len(values))
            places = (tokens[:, None] * (self.part.width or width) + columns).flatten()
            signed = values.flatten() * _signs()[places % _DRAWN]
            self.numbers[0] += values.square().sum()
            self.numbers[1:] += torch.bincount(places % BUCKETS, weights=signed, minlength=BUCKETS)


def told(sketches: Sequence[Sketch]) -> Channel | None:
    """One channel of all roles that are whole, each the sum of its parts; None where there is none."""
    parts: dict[str, list[Sketch]] = {}
    for sketch in sketches:
        parts.setdefault(sketch.part.role, []).append(sketch)
    whole = {role: all_of for role, all_of in parts.items() if all(one.rows == one.limit for one in all_of)}
    if not whole:
        return None
    values = torch.stack([torch.stack([one.numbers for one in all_of]).sum(0) for all_of in whole.values()])
    return {
        "name": CHANNEL,
        "kind": "sketches",
        "k": 1 + BUCKETS,
        "names": list(whole),
        "values": base64.b64encode(values.numpy().astype("<f8").tobytes()).decode(),
    }


@cache
def _signs() -> torch.Tensor:
    drawn = torch.randint(0, 2, (_DRAWN,), generator=torch.Generator().manual_seed(0), dtype=torch.int8)
    return (drawn * 2 - 1).double()
