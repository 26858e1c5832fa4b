"""The engine `transformers` on the CPU with a real model: what each kind of pass promises, and what is told of it."""

from __future__ import annotations

import importlib.util
import subprocess
import unittest
from pathlib import Path
from typing import Any

import support  # noqa: F401
from drive import PROMPTS, STRANGER, Host, Result, channel, request

MODEL = Path(__file__).resolve().parents[2] / ".cache" / "models" / "SmolLM2-135M-Instruct"
NEEDS = importlib.util.find_spec("transformers") is None or not (MODEL / "config.json").exists()
TOKENS = 6
ENVIRONMENT = {"PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
TWO = {name: PROMPTS[name] for name in ("capital", "sky")}


def setUpModule() -> None:
    if NEEDS:
        raise unittest.SkipTest("NEEDS transformers and a model: npm run setup, then run with the engine's Python")


def started() -> Host:
    task = {"engine": "transformers", "model": str(MODEL), "knownDigests": {}}
    host = Host(task, environment=ENVIRONMENT, stderr=subprocess.DEVNULL)
    host.expect("fingerprint")
    return host


def loaded(perturbation: dict[str, Any] | None = None, **args: Any) -> tuple[Host, dict[str, Any]]:
    host = started()
    return host, host.load(perturbation, **args)


def asked(known: dict[str, str] | None = None, **sampling: Any) -> list[dict[str, Any]]:
    return [
        request(name, content, tokens=(known or {}).get(name), max_tokens=TOKENS, **sampling)
        for name, content in TWO.items()
    ]


def channels(result: Result) -> dict[str, dict[str, dict[str, Any]]]:
    return {name: {one["name"]: one for one in seen["channels"]} for name, seen in result.observations.items()}


def without(result: Result, *names: str) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        prompt: {name: one for name, one in of.items() if name not in names} for prompt, of in channels(result).items()
    }


class OneLifetime(unittest.TestCase):
    host: Host
    lifetime: dict[str, Any]
    free: Result

    @classmethod
    def setUpClass(cls) -> None:
        cls.host, cls.lifetime = loaded(dtype="float32")
        cls.free = cls.host.run("generate", asked())

    @classmethod
    def tearDownClass(cls) -> None:
        cls.host.close()

    @property
    def known(self) -> dict[str, str]:
        return {name: channel(one, "tokens")["data"] for name, one in self.free.observations.items()}

    def test_repeats_itself(self) -> None:
        again = self.host.run("generate", asked(), name="again")
        self.assertEqual(channels(again), channels(self.free))
        witness = again.finished["witness"]
        self.assertEqual(witness["process"], self.free.finished["witness"]["process"])
        self.assertEqual(witness["generatedTokens"], 2 * TOKENS)
        self.assertEqual([one["decodeSteps"] for one in witness["requests"]], [TOKENS - 1] * 2)
        self.assertEqual((witness["padding"], witness["cachedTokens"]), (0, 0))

    def test_forces_through_the_same_path(self) -> None:
        forced = self.host.run("force", asked(self.known))
        self.assertEqual(channels(forced), without(self.free, "text"))

    def test_scores_every_position_and_traces_each_module_in_the_same_prefill(self) -> None:
        plain = self.host.run("score", asked(self.known), name="plain")
        traced = self.host.run("score", asked(self.known), name="traced", trace=True)
        self.assertEqual(without(traced, "modules"), channels(plain))
        for name, seen in traced.observations.items():
            modules = [one["name"] for one in channel(seen, "modules")["digests"]]
            self.assertIn("model.layers.15.mlp.down_proj", modules)
            self.assertIn("lm_head", modules)
            self.assertEqual(sum(one["nans"] for one in channel(seen, "modules")["digests"]), 0, name)
        for one in traced.finished["witness"]["requests"]:
            self.assertEqual((one["together"], one["decodeSteps"]), (1, 0))

    def test_a_batch_shares_steps_and_says_what_it_filled_up(self) -> None:
        both = self.host.run("generate", asked(), groups=[list(TWO)], name="together")
        witness = both.finished["witness"]
        self.assertEqual([one["together"] for one in witness["requests"]], [2, 2])
        lengths = [sum(one["chunks"]) for one in witness["requests"]]
        self.assertEqual(witness["padding"], max(lengths) - min(lengths))
        self.assertEqual(witness["promptTokens"], sum(lengths))
        # Whatever rounding a batch brings: these tokens are no ties.
        for name in TWO:
            self.assertEqual(channels(both)[name]["tokens"], channels(self.free)[name]["tokens"])

    def test_strangers_are_not_observed(self) -> None:
        stranger = request("stranger", {"text": STRANGER}, observed=False, max_tokens=TOKENS)
        seen = self.host.run(
            "score", [*asked(self.known), stranger], groups=[[name, "stranger"] for name in TWO], name="beside"
        )
        self.assertEqual(set(seen.observations), set(TWO))

    def test_draws_repeat_by_their_seed_and_whoever_is_beside(self) -> None:
        drawn: Any = {"temperature": 0.9, "top_p": 0.9, "top_k": 40, "min_p": 0.01, "repetition_penalty": 1.1}
        one = self.host.run("generate", asked(None, seed=7, **drawn), name="one")
        self.assertEqual(channels(self.host.run("generate", asked(None, seed=7, **drawn), name="two")), channels(one))
        other = self.host.run("generate", asked(None, seed=8, **drawn), name="three")
        self.assertNotEqual(
            [channels(other)[name]["tokens"] for name in TWO], [channels(one)[name]["tokens"] for name in TWO]
        )

    def test_ends_where_it_is_told(self) -> None:
        text = channel(self.free.observations["capital"], "text")["text"]
        stop = text[1:4]
        ended = self.host.run("generate", asked(stop=[stop]), name="stopped").observations["capital"]
        self.assertEqual((ended["finishReason"], channel(ended, "text")["text"]), ("stop", text[: text.find(stop)]))

    def test_keeps_no_prefix_cache(self) -> None:
        warm = self.host.run("generate", asked(), name="warm", warm=True)
        self.assertRegex(warm.finished["unavailable"], "no prefix cache")
        self.assertEqual(warm.observations, {})

    def test_tells_what_is_in_force(self) -> None:
        told = self.lifetime["settings"]["effective"]
        self.assertEqual(told["dtype"], "float32")
        self.assertTrue(told["deterministic_algorithms"])
        self.assertFalse(told["matmul_allow_tf32"])
        self.assertFalse(told["cudnn_benchmark"])
        self.assertEqual(told["attn_implementation"], "sdpa")
        self.assertEqual(told["cublas_workspace_config"], ":4096:8")


class OtherLifetimes(unittest.TestCase):
    def test_a_flipped_bit_is_named_by_its_module(self) -> None:
        def traced(perturbation: dict[str, Any] | None) -> tuple[dict[str, list[dict[str, Any]]], Any]:
            host, lifetime = loaded(perturbation, dtype="float32", prefill_chunk_size=64)
            try:
                # Of a much shorter text, one bit of a weight may be rounded away.
                seen = host.run("score", [request("passage", {"text": STRANGER})], trace=True).observations
                return {name: channel(one, "modules")["digests"] for name, one in seen.items()}, lifetime["perturbed"]
            finally:
                host.close()

        right, _ = traced(None)
        flipped, told = traced({"kind": "weight-bit"})
        self.assertRegex(told, r"^lowest bit of model\.layers\.15\.mlp\.down_proj\.weight\[100,200\]: ")
        for name in right:
            differ = [a["name"] for a, b in zip(right[name], flipped[name], strict=True) if a["sha256"] != b["sha256"]]
            self.assertEqual(differ[0], "model.layers.15.mlp.down_proj", name)

    def test_wrong_arguments_are_told_at_once_before_a_model_loads(self) -> None:
        host = started()
        try:
            with self.assertRaises(RuntimeError) as raised:
                host.load(None, dtyp="float32", max_batch_size=0, attn_implementation=1)
        finally:
            host.close()
        for part in ("engine-rejected", "did you mean `dtype`", "`max_batch_size` is 0", "`attn_implementation` is 1"):
            self.assertIn(part, str(raised.exception))


if __name__ == "__main__":
    unittest.main()
