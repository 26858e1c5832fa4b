"""Roles of modules: what differently cut models have in common, and how far two of them are apart."""

from __future__ import annotations

import base64
import importlib.util
import struct
import unittest
from typing import Any

import support  # noqa: F401

if importlib.util.find_spec("torch") is not None:
    import torch
    from deterministic_ml.engines.common.hooks import Hooks, Rows
    from deterministic_ml.engines.common.roles import BUCKETS, Part, Sketch, parts_of

HIDDEN, KEYS, INNER, TOKENS = 48, 16, 96, 24


def setUpModule() -> None:
    if importlib.util.find_spec("torch") is None:
        raise unittest.SkipTest("NEEDS torch: run with the engine's Python")


def llama(fused: bool, noise: float = 0.0) -> Any:
    """A model of two layers, its projections in one or in several modules, of the same numbers."""
    generator = torch.Generator().manual_seed(3)

    def weights(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, generator=generator)

    def linear(weight: torch.Tensor) -> torch.nn.Module:
        made = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        made.weight = torch.nn.Parameter(weight, requires_grad=False)
        return made

    class Several(torch.nn.Module):
        def __init__(self, **parts: torch.Tensor) -> None:
            super().__init__()
            self.names = list(parts)
            for name, weight in parts.items():
                self.add_module(name, linear(weight))

        def all_of(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.get_submodule(name)(x) for name in self.names], -1)

    class Attention(Several):
        def __init__(self) -> None:
            q, k, v, o = weights(HIDDEN, HIDDEN), weights(KEYS, HIDDEN), weights(KEYS, HIDDEN), weights(HIDDEN, HIDDEN)
            split = {"q_proj": q, "k_proj": k, "v_proj": v}
            super().__init__(**({"qkv_proj": torch.cat([q, k, v])} if fused else split))
            self.o_proj = linear(o + noise)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            given: torch.Tensor = self.o_proj(self.all_of(x)[..., :HIDDEN] * 2)
            return given

    class Mlp(Several):
        def __init__(self) -> None:
            gate, up, down = weights(INNER, HIDDEN), weights(INNER, HIDDEN), weights(HIDDEN, 2 * INNER)
            super().__init__(
                **({"gate_up_proj": torch.cat([gate, up])} if fused else {"gate_proj": gate, "up_proj": up})
            )
            self.down_proj = linear(down)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            given: torch.Tensor = self.down_proj(self.all_of(x))
            return given

    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input_layernorm = torch.nn.LayerNorm(HIDDEN)
            self.self_attn = Attention()
            self.post_attention_layernorm = torch.nn.LayerNorm(HIDDEN)
            self.mlp = Mlp()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x + self.self_attn(self.input_layernorm(x))
            given: torch.Tensor = x + self.mlp(self.post_attention_layernorm(x))
            return given

    class Inner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed_tokens = torch.nn.Embedding(TOKENS, HIDDEN)
            self.embed_tokens.weight = torch.nn.Parameter(weights(TOKENS, HIDDEN), requires_grad=False)
            self.layers = torch.nn.ModuleList([Layer(), Layer()])
            self.norm = torch.nn.LayerNorm(HIDDEN)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.embed_tokens(x)
            for layer in self.layers:
                x = layer(x)
            given: torch.Tensor = self.norm(x)
            return given

    class LlamaForCausalLM(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = Inner()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            given: torch.Tensor = self.model(x)
            return given

    return LlamaForCausalLM()


def sketched(model: Any, cuts: tuple[int, ...] = (TOKENS,), batched: bool = False) -> dict[str, list[float]]:
    begin = 0
    with torch.inference_mode():
        hooks = Hooks(model, digested=False, roles=True)
        hooks.expect("a", TOKENS)
        for end in cuts:
            hooks.step([Rows("a", 0, end - begin, begin)], end - begin)
            ids = torch.arange(begin, end)
            model(ids[None] if batched else ids)
            begin = end
    assert hooks.remove() == {"a": []}, "nothing is digested that nobody asks for"
    told = hooks.roles()
    if "a" not in told:
        return {}
    values = struct.unpack(f"<{len(told['a']['names']) * (1 + BUCKETS)}d", base64.b64decode(told["a"]["values"]))
    return {
        name: list(values[at * (1 + BUCKETS) : (at + 1) * (1 + BUCKETS)]) for at, name in enumerate(told["a"]["names"])
    }


def apart(a: list[float], b: list[float]) -> float:
    return float(sum((x - y) ** 2 for x, y in zip(a[1:], b[1:])))


class Roles(unittest.TestCase):
    def test_are_the_same_however_a_model_is_cut(self) -> None:
        fused, split = sketched(llama(True)), sketched(llama(False), batched=True)
        self.assertEqual(list(fused), list(split))
        layer = ["norm-1", "qkv", "attention", "o", "norm-2", "gate-up", "down"]
        named = [f"layers.{at}.{role}" for at in (0, 1) for role in layer]
        self.assertEqual(sorted(fused), sorted(["embed", *named, "norm"]))
        for name, one in fused.items():
            self.assertLess(apart(one, split[name]), 1e-9 * one[0], name)

    def test_nor_how_its_prefill_is(self) -> None:
        whole, cut = sketched(llama(False)), sketched(llama(False), (5, 6, TOKENS))
        for name, one in whole.items():
            self.assertLess(apart(one, cut[name]), 1e-9 * one[0], name)

    def test_part_where_a_module_does(self) -> None:
        one, other = sketched(llama(True)), sketched(llama(True, noise=0.01))
        differ = [name for name in one if apart(one[name], other[name]) > 1e-9 * one[name][0]]
        self.assertEqual(differ[0], "layers.0.o")
        self.assertNotIn("layers.0.attention", differ)

    def test_of_what_was_not_wholly_seen_are_left_out(self) -> None:
        self.assertEqual(sketched(llama(True), (5,)), {})

    def test_of_another_architecture_nothing_is_told(self) -> None:
        self.assertEqual(parts_of(torch.nn.Linear(2, 2)), {})


class Sketches(unittest.TestCase):
    def test_tell_distances_to_some_percent(self) -> None:
        generator = torch.Generator().manual_seed(1)
        for scale in (1.0, 1e-6):
            a = torch.randn(64, 300, generator=generator, dtype=torch.float64)
            d = scale * torch.randn(64, 300, generator=generator, dtype=torch.float64)
            sketches = []
            for values in (a, a + d):
                sketch = Sketch(Part("x", 0, 0, False), 64)
                sketch.take(values, 0)
                sketches.append(sketch.numbers)
            estimated = (sketches[0][1:] - sketches[1][1:]).square().sum() / d.square().sum()
            self.assertAlmostEqual(float(estimated), 1.0, delta=0.3)
            self.assertAlmostEqual(float(sketches[0][0] / a.square().sum()), 1.0, delta=1e-9)


if __name__ == "__main__":
    unittest.main()
