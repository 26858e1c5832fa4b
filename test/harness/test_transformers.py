"""The engine `transformers` on the CPU with a real model: what each kind of pass promises, and what is told of it."""

from __future__ import annotations

import base64
import importlib.util
import json
import struct
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import support
from deterministic_ml.engines.observation import unpack_ids
from deterministic_ml.harness.errors import HarnessError
from drive import CLOCK, PROMPTS, STRANGER, Host, Result, channel, request

# Two of the model's 30 layers, with some of their heads: what is asked here holds of them, too.
MODEL = Path(__file__).resolve().parents[2] / ".cache" / "models" / "SmolLM2-135M-Instruct-shallow"
NEEDS = importlib.util.find_spec("transformers") is None or not (MODEL / "config.json").exists()
TOKENS = 6
CONTEXT = 512
# With so small a model a second thread mostly waits for the first.
ENVIRONMENT = {
    "PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1",
}  # fmt: skip
TWO = {name: PROMPTS[name] for name in ("capital", "sky")}
TEXTS = {"short": "The sky", "long": "The sky is blue because the air scatters short waves more."}


def numbers(vector: dict[str, Any]) -> list[float]:
    data = base64.b64decode(vector["data"])
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def setUpModule() -> None:
    if NEEDS:
        raise unittest.SkipTest("NEEDS transformers and a model: npm run setup, then run with the engine's Python")


# A process of its own is what test/e2e/real-verdicts.test.ts has.
PARENT = support.Forks(lambda: {"engine": "transformers", "model": str(MODEL), "knownDigests": {}}, ENVIRONMENT)


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
        cls.host = PARENT.fork(cls.addClassCleanup)
        cls.host.expect("fingerprint")
        cls.lifetime = cls.host.load(dtype="float32", max_model_len=CONTEXT)
        cls.free = cls.host.run("generate", asked())

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

    def test_token_ids_and_conversations_are_the_prompts_that_they_stand_for(self) -> None:
        parts = [{"type": "text", "text": TWO["sky"]["messages"][0]["content"]}]
        prompt = unpack_ids(channel(self.free.observations["capital"], "prompt-tokens")["data"])
        told = json.dumps({"messages": [{"role": "user", "content": parts}]})
        requests = [
            request("capital", {"token-ids": prompt}, max_tokens=TOKENS),
            request("sky", {"conversation": told}, max_tokens=TOKENS),
        ]
        self.assertEqual(channels(self.host.run("generate", requests, name="stands-for")), channels(self.free))

    def test_forces_through_the_same_path(self) -> None:
        forced = self.host.run("force", asked(self.known))
        self.assertEqual(channels(forced), without(self.free, "text"))

    def test_scores_every_position_and_traces_each_module_in_the_same_prefill(self) -> None:
        plain = self.host.run("score", asked(self.known), name="plain")
        traced = self.host.run("score", asked(self.known), name="traced", trace=True)
        self.assertEqual(without(traced, "modules"), channels(plain))
        for name, seen in traced.observations.items():
            modules = [one["name"] for one in channel(seen, "modules")["digests"]]
            self.assertIn("model.layers.1.mlp.down_proj", modules)
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

    @support.odd(
        "a string of `stop` that begins or ends within a token",
        "the text ends before it, under `transformers` as under `vllm`",
    )
    def test_ends_where_it_is_told(self) -> None:
        text = channel(self.free.observations["capital"], "text")["text"]
        stop = text[1:4]
        ended = self.host.run("generate", asked(stop=[stop]), name="stopped").observations["capital"]
        self.assertEqual((ended["finishReason"], channel(ended, "text")["text"]), ("stop", text[: text.find(stop)]))

    @support.odd(
        "`max_tokens` beyond the context",
        "generated as far as the context goes, with the finish reason `length`",
    )
    def test_ends_where_the_context_does(self) -> None:
        asked = request("long", {"token-ids": [504] * (CONTEXT - 4)}, max_tokens=1000, ignore_eos=True)
        ended = self.host.run("generate", [asked], name="to-the-end").observations["long"]
        self.assertEqual((ended["finishReason"], len(unpack_ids(channel(ended, "tokens")["data"]))), ("length", 4))

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
            host = PARENT.fork(self.addCleanup)
            host.expect("fingerprint")
            lifetime = host.load(perturbation, dtype="float32", prefill_chunk_size=64)
            # Of a much shorter text, one bit of a weight may be rounded away.
            seen = host.run("score", [request("passage", {"text": STRANGER})], trace=True).observations
            self.doCleanups()
            return {name: channel(one, "modules")["digests"] for name, one in seen.items()}, lifetime["perturbed"]

        right, _ = traced(None)
        flipped, told = traced({"kind": "weight-bit"})
        self.assertRegex(told, r"^lowest bit of model\.layers\.1\.mlp\.down_proj\.weight\[100,200\]: ")
        for name in right:
            differ = [a["name"] for a, b in zip(right[name], flipped[name], strict=True) if a["sha256"] != b["sha256"]]
            self.assertEqual(differ[0], "model.layers.1.mlp.down_proj", name)

    def test_wrong_arguments_are_told_at_once_before_a_model_loads(self) -> None:
        # Its weights are none: whoever opened them would tell of them.
        told = self.refused({}, "model.safetensors", dtyp="float32", max_batch_size=0, attn_implementation=1)
        for part in ("did you mean `dtype`", "`max_batch_size` is 0", "`attn_implementation` is 1"):
            self.assertIn(part, told)

    @support.odd(
        "a model with `pytorch_model.bin` alone",
        "`engine-rejected` under `transformers`, which reads safetensors alone",
    )
    def test_pickled_weights_alone(self) -> None:
        self.assertIn("no weights in safetensors: pytorch_model.bin", self.refused({}, "pytorch_model.bin"))

    @support.tried(
        "model with safetensors that lie",
        "a header of exabytes, of offsets beyond the file, backwards or unlike the shape, or that is no JSON",
        "the reader of the format looks at all of it first: an error with its words, and nothing is loaded",
    )
    def test_safetensors_that_lie(self) -> None:
        def file(length: int | None = None, head: bytes | None = None, **of: Any) -> bytes:
            told = {"model.norm.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **of}}
            header = json.dumps(told).encode() if head is None else head
            return struct.pack("<Q", len(header) if length is None else length) + header + bytes(4)

        lies = {
            "exabytes": file(length=2**63),
            "beyond the file": file(data_offsets=[0, 2**60], shape=[2**58]),
            "unlike the shape": file(shape=[2**40]),
            "backwards": file(data_offsets=[4, 0]),
            "no JSON": file(head=b"{" * 9),
            "half a length": bytes(4),
        }
        for name, lie in lies.items():
            with self.subTest(name):
                message = self.refused({}, "model.safetensors", lie, code="engine-failed")
                self.assertRegex(message, "(?i)safetensor|header")

    @support.odd(
        "a quantised model on a device that cannot compute it",
        "`engine-rejected` with the engine's own words",
    )
    def test_a_quantised_model_on_the_wrong_device(self) -> None:
        # What is fp8 transformers turns into bfloat16 on a CPU; of this it has nothing there.
        quantised = {"quantization_config": {"quant_method": "fp_quant"}}
        with mock.patch("torch.cuda.is_available", return_value=False):
            self.assertRegex(self.refused(quantised, "model.safetensors"), "(?is)quantization fp_quant: .*GPU")

    def refused(
        self, config: dict[str, Any], weights: str, content: bytes = b"", code: str = "engine-rejected", **args: Any
    ) -> str:
        """What is told of the real model's configuration with these changes, and with a file that holds no weights."""
        from deterministic_ml.engines.transformers import loading

        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for path in MODEL.iterdir():
                if path.suffix == ".safetensors":
                    (folder / weights).write_bytes(content)
                elif path.name == "config.json":
                    (folder / path.name).write_text(json.dumps({**json.loads(path.read_text()), **config}))
                else:
                    (folder / path.name).symlink_to(path)
            command: dict[str, Any] = {"args": args, "defaults": [], "perturbation": None, "prompts": [], "clock": 0}
            with self.assertRaises(HarnessError) as raised:
                loading.load_engine(str(folder), {"command": "load", **command}, folder)
        self.assertEqual(raised.exception.code, code)
        return raised.exception.message


class Vectors(unittest.TestCase):
    """Tiny models of embeddings and rewards, in this process."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def made(self, kind: str, **config: Any) -> None:
        """A model of that class of the library's, drawn with a seed, and the real tokenizer."""
        import torch
        import transformers

        torch.manual_seed(0)
        told = transformers.AutoConfig.from_pretrained(MODEL)
        for name, value in {"num_hidden_layers": 2, "dtype": torch.float32, **config}.items():
            setattr(told, name, value)
        getattr(transformers, kind).from_config(told).save_pretrained(self.folder)
        for path in MODEL.glob("*token*"):
            (self.folder / path.name).symlink_to(path)

    def engine(self, **args: Any) -> Any:
        from deterministic_ml.engines.transformers import loading

        command: dict[str, Any] = {
            "command": "load",
            "args": args,
            "defaults": [],
            "perturbation": None,
            "prompts": [],
            "clock": CLOCK,
        }
        return loading.load_engine(str(self.folder), command, self.folder)

    def rejected(self, **args: Any) -> str:
        with self.assertRaises(HarnessError) as raised:
            self.engine(**args)
        self.assertEqual(raised.exception.code, "engine-rejected")
        return raised.exception.message

    def vectors(self, engine: Any, groups: list[list[str]], **command: Any) -> dict[str, Any]:
        asked = [request(name, {"text": text}, limit=1024) for name, text in TEXTS.items()]
        told = engine.run(
            {"kind": "score", "requests": asked, "groups": groups, "warm": False, "trace": False, "noise": None,
             "topK": 5, "clock": CLOCK, **command},
            mock.Mock(),
        )  # fmt: skip
        self.assertIsNone(told.unavailable)
        return {one.prompt: {of["name"]: of for of in one.channels} for one in told.observations}

    def test_an_embedding_is_pooled_as_the_suite_or_the_model_says(self) -> None:
        self.made("AutoModel")
        self.assertIn("`pooling`: the model's own files say nothing", self.rejected(task="embed"))
        alone = [[name] for name in TEXTS]
        found = {}
        for pooling in ("cls", "mean", "last"):
            engine = self.engine(task="embed", pooling=pooling)
            one = self.vectors(engine, alone)
            self.assertEqual(one, self.vectors(engine, alone))
            self.assertEqual(set(one["short"]), {"prompt-tokens", "vector"})
            found[pooling] = {name: numbers(of["vector"]) for name, of in one.items()}
            traced = self.vectors(engine, alone, trace=True)["short"]
            self.assertEqual(traced["vector"], one["short"]["vector"])
            self.assertIn("layers.1.mlp.down_proj", [of["name"] for of in traced["modules"]["digests"]])
            together = self.vectors(engine, [list(TEXTS)])
            for name, vector in found[pooling].items():
                for x, y in zip(vector, numbers(together[name]["vector"]), strict=True):
                    self.assertAlmostEqual(x, y, places=4, msg=f"{pooling}: what fills {name} up counts")
        for pooling in ("mean", "last"):
            self.assertNotEqual(found[pooling]["short"], found[pooling]["long"], pooling)
        refused = engine.run({"kind": "generate", "requests": [], "groups": [], "warm": False}, mock.Mock())
        self.assertEqual(refused.unavailable, "a model that is asked to embed decodes nothing")

        steps = [{"type": f"sentence_transformers.models.{kind}", "path": kind} for kind in ("Pooling", "Normalize")]
        (self.folder / "modules.json").write_text(json.dumps(steps))
        (self.folder / "Pooling").mkdir()
        (self.folder / "Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
        own = numbers(self.vectors(self.engine(task="embed"), alone)["long"]["vector"])
        length = sum(x * x for x in found["mean"]["long"]) ** 0.5
        for x, y in zip(own, found["mean"]["long"], strict=True):
            self.assertAlmostEqual(x, y / length, places=5)
        (self.folder / "modules.json").write_text(json.dumps([*steps, {"type": "models.Dense", "path": "Dense"}]))
        self.assertIn("not known here: Dense", self.rejected(task="embed", pooling="mean"))

    def test_a_reward_is_the_models_own_head(self) -> None:
        self.made("AutoModelForSequenceClassification", num_labels=1, pad_token_id=0)
        engine = self.engine(task="reward")
        one = self.vectors(engine, [[name] for name in TEXTS])
        together = self.vectors(engine, [list(TEXTS)])
        for name, of in one.items():
            (x,), (y,) = numbers(of["vector"]), numbers(together[name]["vector"])
            self.assertAlmostEqual(x, y, places=4, msg=f"what fills {name} up counts")
        self.assertNotEqual(one["short"]["vector"], one["long"]["vector"])

    @support.odd(
        "`task: reward`, and a model without a head for it",
        "`engine-rejected`: a head would be drawn by the seed",
    )
    def test_a_head_that_nobody_trained(self) -> None:
        self.made("AutoModelForCausalLM")
        self.assertIn("lack weights of a reward: score.weight", self.rejected(task="reward"))


if __name__ == "__main__":
    unittest.main()
