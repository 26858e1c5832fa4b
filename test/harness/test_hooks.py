"""Digests of modules by rows: what is whose, and what changes no digest."""

from __future__ import annotations

import importlib.util
import unittest
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import support  # noqa: F401

if TYPE_CHECKING:
    import torch
    from deterministic_ml.engines.common.hooks import Hooks
    from deterministic_ml.engines.observation import Digest

WIDTH, VOCABULARY = 8, 11


def setUpModule() -> None:
    if importlib.util.find_spec("torch") is None:
        raise unittest.SkipTest("NEEDS torch: run with the engine's Python")


def decoder() -> Any:
    """A model whose modules give what real ones do, each row for itself, so that only rows count."""
    import torch

    class Twice(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return x * 2, [x + 1, None]

    class Shared(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - 1

    class ByUnit(torch.nn.Module):
        """Not by token."""

        def forward(self, x: torch.Tensor) -> Any:
            return x.t().contiguous(), torch.tensor(3)

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.arange(WIDTH * VOCABULARY, dtype=torch.float32).reshape(WIDTH, VOCABULARY)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x[:, :, None] * self.weight).sum(1)

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(VOCABULARY, WIDTH)
            self.twice, self.by_unit, self.shared, self.head = Twice(), ByUnit(), Shared(), Head()
            self.add_module("shared_again", self.shared)
            torch.manual_seed(0)
            torch.nn.init.normal_(self.embed.weight)

        def forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
            x = self.embed(ids)
            doubled, _ = self.twice(x)
            self.by_unit(x)
            kept: torch.Tensor = self.shared(x)
            self.shared(doubled)
            # As fused kernels do: what a module gave is written over.
            x.mul_(0)
            return kept

    return Model()


TOKENS = {"a": [1, 2, 3, 4, 5, 6, 7], "b": [8, 9, 10, 0, 8]}


class HooksTest(unittest.TestCase):
    def setUp(self) -> None:
        self.model = decoder()

    def run_steps(
        self,
        *steps: list[tuple[str, int, int]],
        padding: int = 0,
        limit: int | None = None,
        whole_head: bool = False,
        batch: bool = False,
    ) -> dict[str, list[Digest]]:
        """Steps of (request, from its token, to its token); `a` is expected, others are not."""
        import torch
        from deterministic_ml.engines.common.hooks import Hooks, Rows

        hooks = Hooks(self.model)
        hooks.expect("a", limit or len(TOKENS["a"]))
        with torch.inference_mode():
            for step in steps:
                rows: list[Rows] = []
                ids: list[int] = []
                for request, begin, end in step:
                    rows.append(Rows(request, len(ids), len(ids) + end - begin, begin))
                    ids += TOKENS[request][begin:end]
                hooks.step(rows, len(ids))
                self.forward(hooks, rows, ids, padding, whole_head)
        return hooks.remove()

    def forward(self, _hooks: Hooks, rows: list[Any], ids: list[int], padding: int, whole_head: bool) -> None:
        """As vLLM's runners do: the head runs on chosen rows to sample, then on views for the prompt's logits."""
        import torch

        padded = torch.tensor([*ids, *[0] * padding])
        given = self.model(padded, positions=torch.arange(len(padded)))
        hidden = given[: len(ids)]
        self.model.head(hidden[[one.end - 1 for one in rows]])
        if whole_head:
            self.model.head(hidden)
            return
        for one in rows:
            last = one.first + one.end - one.begin == len(TOKENS[one.request])
            if one.begin < one.end - last:
                self.model.head(hidden[one.begin : one.end - last])

    def whole(self) -> dict[str, list[Digest]]:
        return self.run_steps([("a", 0, 7)])

    def test_children_before_their_parents_and_the_head_last(self) -> None:
        names = [module["name"] for module in self.whole()["a"]]
        self.assertEqual(names, ["embed", "twice", "shared", "Model", "head"], "what is not by token is left out")

    def test_chunks_change_nothing(self) -> None:
        for cut in ([1, 7], [6, 7], [2, 4, 7], [1, 2, 3, 4, 5, 6, 7]):
            with self.subTest(cut):
                steps = [[("a", begin, end)] for begin, end in zip([0, *cut], cut)]
                self.assertEqual(self.run_steps(*steps), self.whole())

    def test_how_much_is_hashed_at_once_changes_nothing(self) -> None:
        from deterministic_ml.engines.common import hooks

        one_by_one = [[("a", at, at + 1)] for at in range(7)]
        with mock.patch.object(hooks, "_BATCH_BYTES", 1):
            self.assertEqual(self.run_steps(*one_by_one), self.whole())
            # As beside a GPU: nothing is waited for before the end.
            with mock.patch.object(hooks, "_NOTHING", 1 << 30):
                self.assertEqual(self.run_steps(*one_by_one), self.whole())

    def test_a_step_as_long_as_another_dimension_changes_nothing(self) -> None:
        TOKENS["c"] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3][: WIDTH + 1]
        self.addCleanup(TOKENS.pop, "c")
        TOKENS["a"], before = TOKENS["c"], TOKENS["a"]
        self.addCleanup(TOKENS.update, a=before)
        apart = self.run_steps([("a", 0, 8)], [("a", 8, 9)])
        self.assertEqual(apart, self.run_steps([("a", 0, 9)]))

    def test_strangers_and_padding_change_nothing(self) -> None:
        steps = [("b", 0, 5), ("a", 0, 3)], [("a", 3, 7), ("b", 4, 5)]
        for padding in (0, 5):
            for whole_head in (False, True):
                with self.subTest(padding=padding, whole_head=whole_head):
                    told = self.run_steps(*map(list, steps), padding=padding, whole_head=whole_head)
                    self.assertEqual(told, self.whole())

    def test_every_row_counts(self) -> None:
        whole = self.whole()["a"]
        for place in range(7):
            TOKENS["a"][place] += 1
            told = self.run_steps([("a", 0, 4)], [("a", 4, 7)])["a"]
            TOKENS["a"][place] -= 1
            same = [one["name"] for one, other in zip(whole, told) if one == other]
            # The last position has no target, so that the head's row is not taken.
            self.assertEqual(same, ["head"] if place == 6 else [])

    def test_decoding_after_the_prefill_changes_nothing(self) -> None:
        TOKENS["a"] += [2, 2]
        self.addCleanup(TOKENS["a"].__delitem__, slice(7, None))
        told = self.run_steps([("a", 0, 7)], [("a", 7, 8)], [("a", 8, 9)], limit=7)
        del TOKENS["a"][7:]
        self.assertEqual(told, self.whole())

    def test_a_prefill_that_begins_anew_counts_once(self) -> None:
        told = self.run_steps([("a", 0, 3)], [("a", 0, 5)], [("a", 5, 7)])
        self.assertEqual(told, self.whole())

    def test_rows_from_a_cache_leave_the_request_out(self) -> None:
        self.assertEqual(self.run_steps([("a", 2, 7)]), {"a": []})
        self.assertEqual(self.run_steps([("a", 0, 2)], [("a", 3, 7)]), {"a": []})

    def test_an_unfinished_prefill_is_left_out(self) -> None:
        self.assertEqual(self.run_steps([("a", 0, 5)]), {"a": []})

    def test_a_batch_of_one(self) -> None:
        import torch
        from deterministic_ml.engines.common.hooks import Hooks, Rows

        def run(*shape: int) -> Any:
            hooks = Hooks(module := torch.nn.ReLU())
            hooks.expect("a", 6)
            hooks.step([Rows("a", 0, 6, 0)], 6)
            module(torch.arange(12.0).reshape(shape))
            return hooks.remove()

        self.assertEqual(run(6, 2), run(1, 6, 2))
        self.assertEqual(len(run(6, 2)["a"]), 1)
        self.assertEqual(run(2, 6), {"a": []})

    def test_nans_are_counted_in_the_rows_of_the_request_alone(self) -> None:
        import torch
        from deterministic_ml.engines.common.hooks import Hooks, Rows

        class Broken(torch.nn.Module):
            def forward(self, x: torch.Tensor) -> Any:
                return x, {"eight": x.to(torch.bfloat16).to(torch.float8_e4m3fn), "whole": x.isnan().int()}

        hooks = Hooks(module := Broken())
        hooks.expect("a", 3)
        nan = float("nan")
        for first, values in ((0, [[nan, nan], [1, nan]]), (1, [[nan, nan], [nan, 1], [nan, nan]])):
            hooks.step([Rows("b", 0, 1, 0), Rows("a", 1, len(values), first)], len(values))
            module(torch.tensor(values))
        (told,) = hooks.remove()["a"]
        self.assertEqual((told["name"], told["nans"]), ("Broken", 2 * (1 + 1 + 2)))

    def test_each_tensor_of_an_output_counts(self) -> None:
        import torch
        from deterministic_ml.engines.common.hooks import Hooks, Rows

        class Pair(torch.nn.Module):
            def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
                return x, {"residual": y}

        def run(*pairs: tuple[list[float], list[float]]) -> Any:
            hooks = Hooks(module := Pair())
            hooks.expect("a", 2)
            first = 0
            for x, y in pairs:
                hooks.step([Rows("a", 0, len(x), first)], len(x))
                module(torch.tensor(x), torch.tensor(y))
                first += len(x)
            return hooks.remove()["a"]

        whole = run(([1, 2], [3, 4]))
        self.assertEqual(run(([1], [3]), ([2], [4])), whole)
        for other in (run(([1, 2], [3, 5])), run(([0, 2], [3, 4])), run(([3, 4], [1, 2]))):
            self.assertNotEqual(other, whole)

    def test_hooks_are_gone(self) -> None:
        self.whole()
        for module in self.model.modules():
            self.assertEqual((len(module._forward_hooks), len(module._forward_pre_hooks)), (0, 0))


class RunnersTest(unittest.TestCase):
    """What the two model runners of vLLM say of a step, and that they are left as they were."""

    def test_rows_of_each_runner(self) -> None:
        import numpy as np
        from deterministic_ml.engines.vllm.rows import rows_of_batch, rows_of_runner

        batch = SimpleNamespace(
            num_reqs=2, req_ids=["b", "a", "gone"], num_computed_tokens_cpu=np.array([0, 4, 9]),
            query_start_loc_np=np.array([0, 5, 8]), num_computed_prefill_tokens_np=np.array([0, 4]),
        )  # fmt: skip
        runner = SimpleNamespace(input_batch=batch, query_start_loc=SimpleNamespace(np=np.array([0, 5, 8, 8, 8])))
        for rows, length in (rows_of_runner(runner), rows_of_batch(batch)):
            self.assertEqual([(one.request, one.begin, one.end, one.first) for one in rows],
                             [("b", 0, 5, 0), ("a", 5, 8, 4)])  # fmt: skip
            self.assertEqual(length, 8)

    def test_tracing_a_runner(self) -> None:
        import numpy as np
        import torch
        from deterministic_ml.engines.vllm.rows import Tracing

        class Runner:
            """Model Runner V2 in little."""

            pcp_manager: Any = None

            def __init__(self) -> None:
                self.model = torch.nn.ReLU()
                self.model.add_module("further", torch.nn.Tanh())

            def get_model(self) -> Any:
                return self.model

            def prepare_inputs(self, first: int) -> Any:
                return SimpleNamespace(num_reqs=1, req_ids=["a"], query_start_loc_np=np.array([0, 2]),
                                     num_computed_prefill_tokens_np=np.array([first]))  # fmt: skip

            def execute_model(self, first: int | None) -> Any:
                if first is None:
                    # Steps of the engine's own, such as to warm up.
                    self.model.further(torch.ones(2, 3))
                else:
                    self.prepare_inputs(first)
                return self.model(torch.ones(2, 3))

        runner = Runner()
        tracing = Tracing(runner)
        tracing.expect({"a": 4})
        for first in (0, None, 2, None):
            self.assertEqual(runner.execute_model(first).shape, (2, 3))
        (told,) = tracing.end()["a"]
        self.assertEqual(told["name"], "ReLU", "and nothing of steps that are nobody's")
        self.assertEqual(set(vars(runner)), {"model"}, "the class's own methods are back")

        spread = Runner()
        spread.pcp_manager = SimpleNamespace()
        tracing = Tracing(spread)
        tracing.expect({"a": 2})
        spread.execute_model(0)
        self.assertEqual(tracing.end(), {"a": []}, "no rows of one request lie together")


if __name__ == "__main__":
    unittest.main()
