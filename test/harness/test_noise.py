"""What rounding once more makes: of single numbers in each format, and of a whole model."""

from __future__ import annotations

import importlib.util
import unittest
from collections.abc import Iterator
from contextlib import contextmanager

import support  # noqa: F401

NEEDS = importlib.util.find_spec("torch") is None
if not NEEDS:
    import torch
    from deterministic_ml.engines.common.noise import _DRAWN, Noise, draw, neighbours, rounded_again


def setUpModule() -> None:
    if NEEDS:
        raise unittest.SkipTest("NEEDS torch: npm run setup, then run with the engine's Python")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Numbers(unittest.TestCase):
    def test_stay_or_become_a_neighbour_one_in_four(self) -> None:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            values = torch.randn(40_000, generator=seeded(1)).to(dtype)
            moved = neighbours(values, draw(0))
            self.assertEqual(moved.dtype, dtype)
            ways = [torch.nextafter(values, torch.tensor(edge, dtype=dtype)) for edge in (torch.inf, -torch.inf)]
            up, down = ((moved == way).sum().item() / len(values) for way in ways)
            self.assertEqual(((moved != values) & (moved != ways[0]) & (moved != ways[1])).sum().item(), 0)
            self.assertAlmostEqual(up, 0.125, delta=0.01)
            self.assertAlmostEqual(down, 0.125, delta=0.01)

    def test_repeat_with_their_seed_alone(self) -> None:
        values = torch.randn(1000, generator=seeded(1))
        self.assertTrue(torch.equal(neighbours(values, draw(3)), neighbours(values, draw(3))))
        self.assertFalse(torch.equal(neighbours(values, draw(3)), neighbours(values, draw(4))))

    def test_leave_alone_what_has_no_neighbour(self) -> None:
        odd = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, torch.finfo(torch.float32).max] * 500)
        moved = neighbours(odd, draw(0))
        same = (moved == odd) | (moved.isnan() & odd.isnan()) | (moved.isfinite() & (odd.abs() > 1e38))
        self.assertTrue(same.all())
        self.assertFalse(moved[5::6].isinf().any())
        for other in (torch.arange(9), torch.ones(9, dtype=torch.float8_e4m3fn), torch.ones(9, dtype=torch.bool)):
            self.assertIs(neighbours(other, draw(0)), other)

    def test_views_of_any_shape(self) -> None:
        whole = torch.randn(64, 48, generator=seeded(1))
        before = whole.clone()
        self.assertEqual(neighbours(whole.t()[3:, ::2], draw(0)).shape, (45, 32))
        self.assertTrue(torch.equal(whole, before))

    def test_more_than_were_drawn_go_round(self) -> None:
        values, moves = torch.full((_DRAWN + 9,), 1.5), draw(0)
        moved = neighbours(values, moves, _DRAWN - 4)
        steps = (moved.view(torch.int32) - values.view(torch.int32)).tolist()
        self.assertEqual(steps[:4], moves[-4:].tolist())
        self.assertEqual(steps[4:2004], moves[:2000].tolist())
        self.assertEqual(steps[-5:], moves[:5].tolist())

    def test_have_half_a_unit_of_noise(self) -> None:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            # From 1 up a unit is the format's epsilon, and from 1 down half of it.
            values = 1.25 + torch.rand(100_000, generator=seeded(1)).to(dtype) / 2
            units = (neighbours(values, draw(5)) - values).double() / torch.finfo(dtype).eps
            self.assertAlmostEqual(units.pow(2).mean().sqrt().item(), 0.5, delta=0.01)
            self.assertAlmostEqual(units.mean().item(), 0, delta=0.01)
            self.assertEqual(units.abs().max().item(), 1)


@contextmanager
def watched(module: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    given: list[torch.Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: given.append(output))
    yield given
    handle.remove()


class Sum(torch.nn.Module):
    """Gives more than its part does, unless asked to hand that on."""

    def __init__(self, adds: bool) -> None:
        super().__init__()
        self.part = torch.nn.Linear(64, 64)
        self.adds = adds

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        given: torch.Tensor = self.part(values)
        return values + given if self.adds else given.view(-1, 64)


class Models(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Embedding(50, 32),
            torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.Tanh()),
            torch.nn.LSTM(32, 8),
        )
        self.ids = torch.arange(20)

    def test_differ_while_it_listens_and_not_after(self) -> None:
        with torch.inference_mode():
            before = self.model(self.ids)[0]
            with rounded_again(self.model, 7):
                first = self.model(self.ids)[0]
            with rounded_again(self.model, 7):
                self.assertTrue(torch.equal(self.model(self.ids)[0], first))
            with rounded_again(self.model, None):
                self.assertTrue(torch.equal(self.model(self.ids)[0], before))
        self.assertFalse(torch.equal(first, before))
        self.assertLess((first - before).abs().max().item(), 1e-6)

    def test_a_part_that_is_handed_on_is_rounded_once_and_a_sum_anew(self) -> None:
        values = torch.randn(400, 64, generator=seeded(2))
        for adds in (False, True):
            for model in (Sum(adds), torch.nn.Sequential(Sum(adds), torch.nn.Dropout())):
                model.eval()
                plain = model(values)
                part = (model if isinstance(model, Sum) else model[0]).part
                with rounded_again(model, 0), watched(part) as given:
                    noisy = model(values)
                expected = values + given[0] if adds else given[0]
                moved = (noisy != expected).float().mean().item()
                self.assertAlmostEqual(moved, 0.25 if adds else 0, delta=0.02)
                self.assertFalse(torch.equal(noisy, plain))

    def test_the_same_module_has_the_same_noise_whatever_else_runs(self) -> None:
        values = torch.randn(30, 64, generator=seeded(2))
        alone, beside = torch.nn.ModuleDict({"one": torch.nn.Linear(64, 8)}), torch.nn.ModuleDict()
        beside["other"] = torch.nn.Linear(64, 64)
        beside["one"] = alone["one"]
        with rounded_again(alone, 0):
            first = alone["one"](values)
        with rounded_again(beside, 0):
            beside["other"](values)
            self.assertTrue(torch.equal(beside["one"](values), first))

    def test_a_table_rounds_nothing(self) -> None:
        noise = Noise(self.model, 0)
        self.assertTrue(torch.equal(self.model[0](self.ids), self.model[0].weight[self.ids]))
        noise.remove()


if __name__ == "__main__":
    unittest.main()
