"""The engine `kernels` on the CPU: inputs that are the same everywhere, and what each probe promises."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import unittest
from typing import Any

import support  # noqa: F401
from drive import HARNESS, Host, Result, channel, request

NEEDS = importlib.util.find_spec("torch") is None
NAMES = ("softmax", "scatter", "rope")
BESIDE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import torch._inductor
from deterministic_ml.engines.foretelling import foretell
from deterministic_ml.harness.lifeline import descendants
print(json.dumps([foretell(), foretell(0.01), descendants(os.getpid())]))
"""


def setUpModule() -> None:
    if NEEDS:
        raise unittest.SkipTest("NEEDS torch: npm run setup, then run with the engine's Python")


def asked(*names: str) -> list[dict[str, Any]]:
    return [request(name, {"text": name}) for name in names]


def digests(result: Result) -> dict[str, dict[str, str]]:
    return {
        name: {one["name"]: one["sha256"] for one in channel(seen, "modules")["digests"]}
        for name, seen in result.observations.items()
    }


class Inputs(unittest.TestCase):
    def test_are_these_bits_whatever_makes_them(self) -> None:
        from deterministic_ml.engines.kernels.inputs import Inputs

        inputs = Inputs(0)
        self.assertEqual(
            inputs.numbers("pinned", 4).tolist(),
            PINNED,
        )
        self.assertEqual(inputs.integers("pinned", 4, below=64).tolist(), [int(one * 2**15) % 64 for one in PINNED])

    def test_of_more_rows_begin_with_those_of_fewer(self) -> None:
        from deterministic_ml.engines.kernels.inputs import Inputs

        few, many = (Inputs(0).numbers("rows", rows, 8, scale=-5) for rows in (3, 17))
        self.assertTrue(bool((many[:3] == few).all()))
        self.assertLess(float(many.abs().max()), 2.0**-5)

    def test_of_another_seed_are_others(self) -> None:
        from deterministic_ml.engines.kernels.inputs import Inputs

        self.assertNotEqual(Inputs(0).numbers("x", 8).tolist(), Inputs(1).numbers("x", 8).tolist())


class OneLifetime(unittest.TestCase):
    host: Host
    fingerprint: dict[str, Any]
    lifetime: dict[str, Any]
    alone: Result

    @classmethod
    def setUpClass(cls) -> None:
        # A thread that waits for the others gives its CPU away: other tests run beside it.
        cls.host = Host({"engine": "kernels", "model": None, "knownDigests": {}}, stderr=subprocess.DEVNULL,
                        environment={"OMP_WAIT_POLICY": "passive"})  # fmt: skip
        cls.fingerprint = cls.host.expect("fingerprint")["fingerprint"]
        cls.host.send("load", args={"dtypes": ["float32"]}, defaults=[], perturbation=None)
        cls.lifetime = cls.host.expect("lifetime")
        cls.alone = cls.host.run("generate", asked(*NAMES))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.host.close()

    def test_beside_a_model_each_call_gives_the_same_and_leaves_nothing(self) -> None:
        # In a process that has computed nothing, as one is that has only imported an engine.
        run = subprocess.run([sys.executable, "-c", BESIDE, str(HARNESS)], capture_output=True, check=True, text=True)
        told, late, left = json.loads(run.stdout)
        self.assertIsNone(told["unavailable"])
        self.assertGreater(told["seconds"], 0)
        own = {name: digest for gave in digests(self.alone).values() for name, digest in gave.items()}
        self.assertGreater(len(own), 30)
        self.assertEqual({name: told["calls"][name] for name in own}, own)
        self.assertEqual((late["calls"], late["unavailable"]), ({}, "the probes were not done in time"))
        self.assertEqual(left, [])

    def test_loads_no_model_and_says_what_is_in_force(self) -> None:
        self.assertEqual(self.fingerprint["files"], [])
        effective = self.lifetime["settings"]["effective"]
        self.assertEqual((effective["dtypes"], effective["device"]), ("float32", "cpu"))
        self.assertIn("attention cudnn float32", effective["cases_left_out"])

    def test_repeats_itself_and_counts_its_calls(self) -> None:
        again = self.host.run("generate", asked(*NAMES), name="again")
        self.assertEqual(digests(again), digests(self.alone))
        calls = sum(map(len, digests(self.alone).values()))
        for result in (again, self.alone):
            self.assertEqual(result.finished["witness"]["steps"], calls)

    def test_gives_no_nan(self) -> None:
        for seen in self.alone.observations.values():
            self.assertEqual([one["name"] for one in channel(seen, "modules")["digests"] if one["nans"]], [])

    def test_digests_its_own_rows_beside_others(self) -> None:
        """A row of a softmax depends on no other, and neither do rotary positions."""
        strangers = [request(f"{name}/long", {"text": "x"}, observed=False) for name in NAMES]
        groups = [[name, f"{name}/long"] for name in NAMES]
        beside = self.host.run("generate", [*asked(*NAMES), *strangers], groups=groups, name="strangers")
        for name in ("softmax", "rope"):
            self.assertEqual(digests(beside)[name], digests(self.alone)[name])
        self.assertEqual({one["together"] for one in beside.witnessed.values()}, {2})
        self.assertEqual({one["together"] for one in self.alone.witnessed.values()}, {1})

    def test_a_probe_gives_the_same_bits_alone_and_after_others(self) -> None:
        alone = self.host.run("generate", asked("scatter"), name="scatter")
        self.assertEqual(digests(alone)["scatter"], digests(self.alone)["scatter"])

    def test_does_no_other_pass(self) -> None:
        given = self.host.run("score", asked("rope"))
        self.assertEqual((given.observations, given.finished["unavailable"]), ({}, "probes have nothing to score"))


class Ranks(unittest.TestCase):
    def test_add_up_the_same_bits_each_time_and_are_left_out_where_there_is_one(self) -> None:
        import torch
        from deterministic_ml.engines.kernels.arguments import Arguments
        from deterministic_ml.engines.kernels.engine import Kernels

        def of(ranks: int) -> tuple[Kernels, list[Any]]:
            kernels = Kernels(Arguments(dtypes=("float32",), ranks=ranks), [])
            return kernels, [case for case in kernels.cases["reductions"] if "all-reduce" in case.name]

        kernels, cases = of(3)
        self.assertEqual(
            [case.name for case in cases],
            [f"reductions all-reduce of 3 float32 {rows}x2048" for rows in (1, 17, 256)],
        )
        shares = [kernels.bench.numbers(f"all-reduce rows of {rank}", 17, 2048, scale=2) for rank in range(3)]
        whole = torch.stack(shares).double().sum(0)
        for _ in range(2):
            given = cases[1].call(17)
            self.assertLess(float((given.double() - whole).abs().max()), 1e-5)
            self.assertTrue(bool((given == cases[1].call(17)).all()))
        alone, none = of(0)
        self.assertEqual(none, [])
        self.assertIn("all-reduce", alone.effective["cases_left_out"])
        self.assertEqual((alone.effective["ranks"], kernels.effective["ranks"]), (1, 3))


class Refused(unittest.TestCase):
    def load(self, **command: Any) -> Any:
        from deterministic_ml.engines.kernels import load

        told = {"args": {}, "defaults": [], "perturbation": None, "prompts": [], **command}
        return load("", told, None)  # type: ignore[arg-type]

    def test_names_every_argument_that_is_wrong(self) -> None:
        args = {"dtypes": ["float32", "int4"], "devise": "cpu", "seed": True, "ranks": 65}
        told = (
            r"no argument `devise`; did you mean `device`\?; `dtypes` is .*; `seed` is True.*; `ranks` is 65, but must"
        )
        with self.assertRaisesRegex(Exception, told):
            self.load(args=args)

    def test_names_every_prompt_that_is_no_probe(self) -> None:
        prompts = [
            {"id": "typo", "input": {"text": "matmull"}},
            {"id": "chat", "input": {"messages": []}},
            {"id": "fine", "input": {"text": "rope"}},
        ]
        with self.assertRaises(Exception) as caught:
            self.load(prompts=prompts)
        self.assertEqual(caught.exception.code, "prompt-rejected")  # type: ignore[attr-defined]
        self.assertEqual(
            [(one["id"], one["message"]) for one in caught.exception.prompts],  # type: ignore[attr-defined]
            [
                ("typo", "there is no probe of this name; did you mean `matmul`?"),
                ("chat", "a probe is asked by its name, as `text`"),
            ],
        )

    def test_a_device_that_is_not_there_is_named(self) -> None:
        with self.assertRaisesRegex(Exception, "device: "):
            self.load(args={"device": "nonsense"})

    def test_a_device_without_memory_is_named(self) -> None:
        from deterministic_ml.harness.errors import HarnessError

        class Nothing:
            def set(self, *_: object) -> None: ...

        import torch
        from deterministic_ml.engines.kernels.bench import Case

        kernels = self.load(args={"dtypes": ["float32"]})
        # More than any machine has: what its allocator says then is its own.
        kernels.cases["rope"] = [Case("too much", 1, lambda rows: torch.empty(rows, 1 << 46))]
        command: Any = {"kind": "generate", "warm": False, "requests": asked("rope"), "groups": [["rope"]]}
        with self.assertRaises(HarnessError) as caught:
            kernels.run(command, Nothing())
        self.assertEqual(caught.exception.code, "engine-out-of-memory")


# SHAKE-256 of `deterministic-ml kernels 0 pinned`, as little-endian int16 over 2^15.
PINNED = [-0.8525390625, -0.084075927734375, 0.674468994140625, 0.752349853515625]

if __name__ == "__main__":
    unittest.main()
