"""What rounding once more makes: of single numbers in each format, and of a whole model."""

from __future__ import annotations

import importlib.util
import unittest

import support  # noqa: F401

NEEDS = importlib.util.find_spec("torch") is None
if not NEEDS:
    import torch
    from deterministic_ml.engines.common.noise import Noise, neighbours, rounded_again


def setUpModule() -> None:
    if NEEDS:
        raise unittest.SkipTest("NEEDS torch: npm run setup, then run with the engine's Python")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Numbers(unittest.TestCase):
    def test_stay_or_become_a_neighbour_one_in_four(self) -> None:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            values = torch.randn(40_000, generator=seeded(1)).to(dtype)
            moved = neighbours(values, seeded())
            self.assertEqual(moved.dtype, dtype)
            ways = [torch.nextafter(values, torch.tensor(edge, dtype=dtype)) for edge in (torch.inf, -torch.inf)]
            up, down = ((moved == way).sum().item() / len(values) for way in ways)
            self.assertEqual(((moved != values) & (moved != ways[0]) & (moved != ways[1])).sum().item(), 0)
            self.assertAlmostEqual(up, 0.125, delta=0.01)
            self.assertAlmostEqual(down, 0.125, delta=0.01)

    def test_repeat_with_their_seed_alone(self) -> None:
        values = torch.randn(1000, generator=seeded(1))
        self.assertTrue(torch.equal(neighbours(values, seeded(3)), neighbours(values, seeded(3))))
        self.assertFalse(torch.equal(neighbours(values, seeded(3)), neighbours(values, seeded(4))))

    def test_leave_alone_what_has_no_neighbour(self) -> None:
        odd = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, torch.finfo(torch.float32).max] * 500)
        moved = neighbours(odd, seeded())
        same = (moved == odd) | (moved.isnan() & odd.isnan()) | (moved.isfinite() & (odd.abs() > 1e38))
        self.assertTrue(same.all())
        self.assertFalse(moved[5::6].isinf().any())
        for other in (torch.arange(9), torch.ones(9, dtype=torch.float8_e4m3fn), torch.ones(9, dtype=torch.bool)):
            self.assertIs(neighbours(other, seeded()), other)

    def test_views_of_any_shape(self) -> None:
        whole = torch.randn(64, 48, generator=seeded(1))
        before = whole.clone()
        self.assertEqual(neighbours(whole.t()[3:, ::2], seeded()).shape, (45, 32))
        self.assertTrue(torch.equal(whole, before))


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

    def test_a_table_rounds_nothing(self) -> None:
        noise = Noise(self.model, 0)
        self.assertTrue(torch.equal(self.model[0](self.ids), self.model[0].weight[self.ids]))
        noise.remove()


if __name__ == "__main__":
    unittest.main()
