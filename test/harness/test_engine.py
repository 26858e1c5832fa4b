"""The real engine on the CPU: what each kind of pass promises, and what a perturbation changes."""

from __future__ import annotations

import base64
import importlib.util
import json
import struct
import subprocess
import tempfile
import unittest
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import support
from drive import ENVIRONMENT, PROMPTS, STRANGER, Host, Result, channel, request

# Two of the model's 30 layers, with some of their heads: what is asked here holds of them, too.
MODEL = Path(__file__).resolve().parents[2] / ".cache" / "models" / "SmolLM2-135M-Instruct-shallow"
NEEDS = importlib.util.find_spec("vllm") is None or not (MODEL / "config.json").exists()
TOKENS = 12
# As src/run/own-texts.ts has it. Of a much shorter text, one bit of a weight is rounded away in bfloat16.
TRACE_TEXT = (
    "The quick brown fox jumps over the lazy dog. In 1969, 3 people flew 384,400 km; def f(x): return x ** 2 # ok"
)


class Task:
    """What all engines here are given: the model, and adapters for it that only who names them uses."""

    folder = Path()

    @classmethod
    def told(cls) -> dict[str, Any]:
        return {"engine": "vllm", "model": str(cls.folder), "knownDigests": {}}


def setUpModule() -> None:
    if NEEDS:
        raise unittest.SkipTest("NEEDS vLLM and a model: npm run setup, then run with the engine's Python")
    temporary = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(temporary.cleanup)
    Task.folder = Path(temporary.name)
    for path in MODEL.iterdir():
        (Task.folder / path.name).symlink_to(path)
    for seed, name in enumerate(("one", "two")):
        adapter(Task.folder / "adapters" / name, seed)


PARENT = support.Forks(Task.told, ENVIRONMENT)


def ids(packed: str) -> list[int]:
    data = base64.b64decode(packed)
    return list(struct.unpack(f"<{len(data) // 4}I", data))


def packed(tokens: list[int]) -> str:
    return base64.b64encode(struct.pack(f"<{len(tokens)}I", *tokens)).decode()


def floats(packed: str) -> list[float]:
    data = base64.b64decode(packed)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def bits(event: dict[str, Any]) -> list[dict[str, Any]]:
    """All numbers of a decoder."""
    return [channel(event, name) for name in ("prompt-tokens", "tokens", "logprobs", "top-k")]


def data(event: dict[str, Any], name: str) -> str:
    return str(channel(event, name)["data"])


def modules(event: dict[str, Any]) -> list[dict[str, Any]]:
    digests: list[dict[str, Any]] = channel(event, "modules")["digests"]
    return digests


def trace(host: Host) -> list[dict[str, Any]]:
    return modules(host.run("trace", [request("trace", {"text": TRACE_TEXT})]).observations["trace"])


def differing(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> list[str]:
    assert [module["name"] for module in left] == [module["name"] for module in right]
    return [a["name"] for a, b in zip(left, right) if a["sha256"] != b["sha256"]]


def adapter(folder: Path, seed: int) -> None:
    """A LoRA of rank 4 on every query projection, drawn with a seed."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((MODEL / "config.json").read_text())
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    queries = config["num_attention_heads"] * config["head_dim"]
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(layers):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora"
        tensors[f"{name}_A.weight"] = torch.randn(4, width, generator=generator) * 0.1
        tensors[f"{name}_B.weight"] = torch.randn(queries, 4, generator=generator) * 0.1
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(told))


class AdaptersTest(unittest.TestCase):
    def test_each_request_asks_its_own(self) -> None:
        host = PARENT.fork(self.addCleanup)
        files = [file["path"] for file in host.expect("fingerprint")["fingerprint"]["files"]]
        self.assertIn("adapters/one/adapter_model.safetensors", files)
        host.load(dtype="float32", enable_lora=True, max_loras=2)
        asked = [
            request(
                name,
                {**PROMPTS["capital"], **({} if name == "base" else {"adapter": f"adapters/{name}"})},
                max_tokens=TOKENS,
                ignore_eos=True,
            )
            for name in ("base", "one", "two")
        ]
        alone = host.run("generate", asked, name="alone")
        bits = {channel(seen, "logprobs")["data"] for seen in alone.observations.values()}
        self.assertEqual(len(bits), 3)
        together = host.run("generate", asked, groups=[["base", "one", "two"]], name="together")
        self.assertEqual([seen["together"] for seen in together.finished["witness"]["requests"]], [3, 3, 3])
        given = [{**one, "tokens": data(alone.observations[one["id"]], "tokens")} for one in asked]
        forced = host.run("force", given)
        for name, seen in forced.observations.items():
            self.assertEqual(channel(seen, "logprobs"), channel(alone.observations[name], "logprobs"), name)
        scored = host.run("score", given, trace=True)
        self.assertEqual(len({channel(seen, "logprobs")["data"] for seen in scored.observations.values()}), 3)
        self.assertTrue(all(modules(seen) for seen in scored.observations.values()))


class PassesTest(unittest.TestCase):
    """One engine for all: nothing of a pass is left for the next."""

    ARGS: Mapping[str, Any] = {"dtype": "float32", "enable_prefix_caching": True, "max_num_batched_tokens": 256}

    host: Host
    seen: dict[str, Any]
    lifetime: dict[str, Any]
    generated: Result

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = Host(Task.told(), environment=ENVIRONMENT, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.host.close)
        cls.seen = cls.host.expect("fingerprint")["fingerprint"]
        cls.lifetime = cls.host.load(**cls.ARGS)
        cls.generated = cls.host.run("generate", cls.requests())

    @classmethod
    def requests(cls, **fields: Any) -> list[dict[str, Any]]:
        return [
            request(name, PROMPTS[name], **{"max_tokens": TOKENS, "ignore_eos": True, **fields})
            for name in ("capital", "sky")
        ]

    def another(self, perturbation: dict[str, Any] | None = None, **args: Any) -> tuple[Host, dict[str, Any]]:
        """An engine beside it."""
        host = PARENT.fork(self.addCleanup)
        host.expect("fingerprint")
        return host, host.load(perturbation, dtype="float32", **args)

    def given(self) -> list[dict[str, Any]]:
        tokens = {name: data(event, "tokens") for name, event in self.generated.observations.items()}
        return [{**one, "tokens": tokens[one["id"]]} for one in self.requests()]

    def test_nothing_is_perturbed(self) -> None:
        self.assertIsNone(self.lifetime["perturbed"])

    def test_force_gives_the_bits_of_free_generation(self) -> None:
        forced = self.host.run("force", self.given())
        self.assertIsNone(forced.finished["unavailable"])
        for name, event in forced.observations.items():
            self.assertEqual(bits(event), bits(self.generated.observations[name]))
            self.assertEqual((event["finishReason"], channel(event, "text")), ("given", {"name": "text"}))
        self.assertEqual(
            [seen["decodeSteps"] for seen in forced.finished["witness"]["requests"]], [TOKENS - 1] * 2, "decoded"
        )
        self.assertNotIn("extra_args", forced.finished["sampling"])

    def test_force_decodes_what_the_model_would_never_choose(self) -> None:
        # Among them the end of the sequence, which must not end it.
        tokens = [2, 40000, 2, 7]
        event = self.host.run("force", [request("a", PROMPTS["capital"], tokens=packed(tokens))]).observations["a"]
        self.assertEqual(ids(data(event, "tokens")), tokens)
        self.assertTrue(all(logprob < -3 for logprob in floats(data(event, "logprobs"))))

    def test_a_forced_request_leaves_its_neighbours_alone(self) -> None:
        capital, sky = self.given()
        free = {**sky, "tokens": None, "observed": False}
        beside = self.host.run("force", [capital, free], groups=[["capital", "sky"]])
        together = self.host.run("generate", self.requests(), groups=[["capital", "sky"]])
        self.assertEqual(list(beside.observations), ["capital"])
        self.assertEqual(bits(beside.observations["capital"]), bits(together.observations["capital"]))
        self.assertEqual(beside.finished["witness"], together.finished["witness"])

    def test_score_repeats_and_says_what_decoding_said(self) -> None:
        first, second = (self.host.run("score", self.given()) for _ in range(2))
        for name, event in first.observations.items():
            free = self.generated.observations[name]
            self.assertEqual(bits(event), bits(second.observations[name]))
            sequence = [*ids(data(free, "prompt-tokens")), *ids(data(free, "tokens"))]
            self.assertEqual(ids(data(event, "tokens")), sequence[1:])
            self.assertEqual(
                (data(event, "prompt-tokens"), event["finishReason"]), (data(free, "prompt-tokens"), "given")
            )
            for scored, decoded in zip(floats(data(event, "logprobs"))[-TOKENS:], floats(data(free, "logprobs"))):
                self.assertAlmostEqual(scored, decoded, delta=1e-3)
        self.assertEqual(first.finished["witness"]["requests"][0]["chunks"], [5 + TOKENS])

    def test_score_is_cut_at_its_limit_and_at_the_context(self) -> None:
        long = {"text": "word " * 2000}
        asked = [request("few", PROMPTS["capital"], limit=4), request("all", long)]
        result = self.host.run("score", asked)
        few, everything = result.observations["few"], result.observations["all"]
        self.assertEqual(ids(data(few, "tokens")), ids(data(few, "prompt-tokens"))[1:4])
        self.assertGreater(len(ids(data(everything, "prompt-tokens"))), 1999)
        self.assertEqual(len(ids(data(everything, "tokens"))), 1022)
        self.assertEqual(result.witnessed["all"]["chunks"], [256, 256, 256, 255])

    def test_tokens_beyond_the_vocabulary(self) -> None:
        for kind in ("force", "score"):
            result = self.host.run(kind, [request("a", PROMPTS["capital"], tokens=packed([49152]))])
            self.assertIn("beyond this model's vocabulary of 49152", result.finished["unavailable"])
            self.assertEqual((result.observations, result.finished["witness"]["requests"]), ({}, []))

    def test_trace_repeats_with_children_before_their_parents(self) -> None:
        modules = trace(self.host)
        self.assertEqual(differing(modules, trace(self.host)), [])
        names = [module["name"] for module in modules]
        order = [names.index(f"model.layers.1{name}") for name in (".mlp.down_proj", ".mlp", "")]
        self.assertEqual(order, sorted(order))
        self.assertGreater(len(modules), 20)
        self.assertEqual(sum(module["nans"] for module in modules), 0)

    def test_hooks_are_gone_after_a_trace(self) -> None:
        trace(self.host)
        again = self.host.run("generate", self.requests())
        for name, event in again.observations.items():
            self.assertEqual(bits(event), bits(self.generated.observations[name]))

    def test_a_score_traces_each_sequence_in_its_own_prefill(self) -> None:
        plain = self.host.run("score", self.given())
        traced = self.host.run("score", self.given(), trace=True)
        alone = self.host.run("trace", self.given())
        self.assertEqual(traced.finished["witness"]["steps"], plain.finished["witness"]["steps"], "and in no second")
        for name, event in traced.observations.items():
            self.assertEqual(bits(event), bits(plain.observations[name]))
            self.assertEqual(channel(plain.observations[name], "modules"), {"name": "modules"})
            self.assertEqual(
                [one["name"] for one in alone.observations[name]["channels"]], ["prompt-tokens", "modules"]
            )
            self.assertEqual(modules(event), modules(alone.observations[name]))
            # After all others, since the logits of a prompt come after the model has run.
            self.assertEqual([one["name"] for one in modules(event)][-2:], ["LlamaForCausalLM", "logits_processor"])
        capital, sky = (modules(event) for event in traced.observations.values())
        self.assertEqual(differing(capital, sky), [one["name"] for one in capital], "each of its own sequence")

    def test_strangers_are_not_in_the_digests(self) -> None:
        strangers = [request(name, PROMPTS[name], observed=False) for name in ("count", "code")]
        alone = self.host.run("score", self.given(), trace=True)
        beside = self.host.run(
            "score", [*self.given(), *strangers], groups=[["count", "capital", "code"], ["sky"]], trace=True
        )
        self.assertEqual(beside.witnessed["capital"]["together"], 3)
        left, right = (modules(result.observations["capital"]) for result in (alone, beside))
        # Other shapes may round otherwise, but not before anything is computed.
        self.assertFalse({"model.embed_tokens", "model.layers.0.input_layernorm"} & set(differing(left, right)))

    def test_warm_takes_the_prompt_from_the_cache(self) -> None:
        asked = [request("long", {"text": STRANGER}, max_tokens=4)]
        cold, warm = (self.host.run("generate", asked, warm=warm) for warm in (False, True))
        self.assertEqual((cold.witnessed["long"]["cachedTokens"], cold.finished["witness"]["cachedTokens"]), (0, 0))
        cached = warm.witnessed["long"]["cachedTokens"]
        self.assertGreaterEqual(cached, 128)
        witness = warm.finished["witness"]
        self.assertEqual(witness["cachedTokens"], cached)
        self.assertEqual(witness["generatedTokens"], 4, "of the observed run alone")
        self.assertEqual(
            sum(warm.witnessed["long"]["chunks"]) + cached, len(ids(data(cold.observations["long"], "prompt-tokens")))
        )
        self.assertEqual(bits(warm.observations["long"]), bits(cold.observations["long"]))

    def test_strangers_share_steps_unobserved(self) -> None:
        stranger = request("stranger", {"text": STRANGER}, observed=False, max_tokens=TOKENS)
        result = self.host.run("generate", [*self.requests(), stranger], groups=[["capital", "stranger"], ["sky"]])
        self.assertEqual(set(result.observations), {"capital", "sky"})
        seen = result.witnessed
        self.assertEqual([seen[name]["together"] for name in ("capital", "stranger", "sky")], [2, 2, 1])

    def test_the_scheduler_takes_them_up_in_the_order_of_submission(self) -> None:
        result = self.host.run("generate", self.requests(), groups=[["sky", "capital"]])
        self.assertEqual([(seen["id"], seen["order"]) for seen in result.finished["witness"]["requests"]],
                         [("sky", 0), ("capital", 1)])  # fmt: skip

    def test_each_request_has_its_own_sampling(self) -> None:
        capital, sky = self.requests()
        sky["sampling"] = {**sky["sampling"], "max_tokens": 3}
        result = self.host.run("generate", [capital, sky], groups=[["capital", "sky"]])
        self.assertEqual([len(ids(data(event, "tokens"))) for event in result.observations.values()], [3, TOKENS])
        self.assertEqual(result.finished["sampling"]["max_tokens"], TOKENS, "of the first")

    def test_a_stop_string_ends_a_text_within_a_token(self) -> None:
        capital, sky = self.requests()
        text = channel(self.generated.observations["capital"], "text")["text"]
        stop = text[2:4]
        capital["sampling"] = {**capital["sampling"], "stop": [stop]}
        ended = self.host.run("generate", [capital, sky], name="stopped").observations["capital"]
        self.assertEqual((ended["finishReason"], channel(ended, "text")["text"]), ("stop", text[: text.find(stop)]))

    def test_token_ids_and_conversations_are_the_prompts_that_they_stand_for(self) -> None:
        capital = self.generated.observations["capital"]
        parts = [{"type": "text", "text": part} for part in PROMPTS["sky"]["messages"][0]["content"].split("\n")]
        told = json.dumps({"messages": [{"role": "user", "content": parts}]})
        fields = {"max_tokens": TOKENS, "ignore_eos": True}
        asked = [
            request("capital", {"token-ids": list(ids(data(capital, "prompt-tokens")))}, **fields),
            request("sky", {"conversation": told}, **fields),
        ]
        result = self.host.run("generate", asked, name="stands-for")
        self.assertEqual({name: one["channels"] for name, one in result.observations.items()},
                         {name: one["channels"] for name, one in self.generated.observations.items()})  # fmt: skip

    def test_guided_answers_look_like_what_guides_them(self) -> None:
        schema = '{"type": "object", "properties": {"b": {"enum": [1]}, "a": {"enum": [2]}}, "required": ["b", "a"]}'
        guides = {
            "regex": {"regex": "[xyz]{4}!"},
            "choice": {"choice": ["Lisbon", "Rome"]},
            "json": {"json": schema},
        }
        asked = [request(name, PROMPTS["capital"], max_tokens=40) for name in guides]
        for one in asked:
            one["sampling"]["structured_outputs"] = guides[one["id"]]
        # Two layers make no sense: where spaces are allowed in an object, they never come to its end.
        host, _ = self.another(structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True})
        # All at once: what is compiled is ready when its request is queued, so that all share the first step.
        runs = [host.run("generate", asked, groups=[list(guides)], name=name) for name in ("guided", "again")]
        texts = {name: channel(one, "text")["text"] for name, one in runs[0].observations.items()}
        self.assertRegex(texts["regex"], "^[xyz]{4}!$")
        self.assertIn(texts["choice"], ("Lisbon", "Rome"))
        self.assertEqual(list(json.loads(texts["json"]).items()), [("b", 1), ("a", 2)])
        self.assertEqual([seen["together"] for seen in runs[0].finished["witness"]["requests"]], [3, 3, 3])
        channels = [{name: one["channels"] for name, one in run.observations.items()} for run in runs]
        self.assertEqual(*channels)

    def test_vocabulary(self) -> None:
        self.host.send("vocabulary", ids=packed([7042, 2, 49151, 49152, 4_000_000_000]))
        texts = self.host.expect("vocabulary")["texts"]
        self.assertEqual({name: texts[name] for name in ("7042", "2")}, {"7042": " Paris", "2": "<|im_end|>"})
        self.assertEqual(set(texts), {"7042", "2", "49151"})

    def test_chunks_are_not_in_the_digests(self) -> None:
        host, _ = self.another(max_num_batched_tokens=32)
        asked = [request("long", {"text": STRANGER})]
        whole, cut = (one.run("score", asked, trace=True) for one in (self.host, host))
        self.assertEqual([len(result.witnessed["long"]["chunks"]) for result in (whole, cut)], [1, 8])
        left, right = (modules(result.observations["long"]) for result in (whole, cut))
        self.assertFalse({"model.embed_tokens", "model.layers.0.input_layernorm"} & set(differing(left, right)))

    def test_a_sequence_names_the_module_that_another_text_would_not_show(self) -> None:
        at = {"tensor": "model.layers.1.self_attn.q_proj.weight", "index": 123_456, "bit": 3}
        host, lifetime = self.another({"kind": "weight-bit", "at": at})
        self.assertIn("bit 3 of model.layers.1.self_attn.q_proj.weight[214,192]", lifetime["perturbed"])
        before, now = (one.run("score", self.given(), trace=True) for one in (self.host, host))
        for name, event in now.observations.items():
            differ = differing(modules(before.observations[name]), modules(event))
            self.assertEqual(differ[0], "model.layers.1.self_attn.qkv_proj")

    def test_weight_bit_is_found_by_the_trace(self) -> None:
        # In bfloat16, where the log-probabilities may see nothing: test/e2e/real-verdicts.test.ts.
        host, lifetime = self.another({"kind": "weight-bit"})
        place = r"lowest bit of model\.layers\.1\.mlp\.down_proj\.weight\[100,200\]: (\S+) → (\S+)"
        self.assertRegex(lifetime["perturbed"], place)
        self.assertEqual(differing(trace(self.host), trace(host))[0], "model.layers.1.mlp.down_proj")

    def test_space_in_the_chat_template_reaches_the_prompt(self) -> None:
        host, lifetime = self.another({"kind": "chat-template-space"})
        self.assertIn("chat_template.jinja", lifetime["perturbed"])
        changed = host.run("generate", self.requests(max_tokens=1)).observations
        prompts = {name: ids(data(event, "prompt-tokens")) for name, event in self.generated.observations.items()}
        self.assertEqual(ids(data(changed["capital"], "prompt-tokens")), prompts["capital"], "no template takes part")
        self.assertEqual(ids(data(changed["sky"], "prompt-tokens"))[1:], prompts["sky"])

    def test_forks_compute_the_bits_of_a_process_of_its_own(self) -> None:
        of_its_own = (self.seen, self.bits_of(self.generated), trace(self.host))
        # The second one shows that the first has left nothing for the next.
        for _ in range(2):
            host = PARENT.fork(self.addCleanup)
            seen = host.expect("fingerprint")["fingerprint"]
            host.load(**self.ARGS)
            generated = host.run("generate", self.requests())
            self.assertEqual((seen, self.bits_of(generated), trace(host)), of_its_own)
            self.doCleanups()

    @staticmethod
    def bits_of(result: Result) -> dict[str, Any]:
        return {name: bits(event) for name, event in result.observations.items()}


if __name__ == "__main__":
    unittest.main()
