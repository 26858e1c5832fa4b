"""Pieces of the harness for vLLM that need no engine."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import support  # noqa: F401
from deterministic_ml.engines.common import files, weights
from deterministic_ml.engines.observation import Digest
from deterministic_ml.engines.vllm import determinism, loading, memory, tracing
from deterministic_ml.engines.vllm.means import GIVEN, PROCESSOR, REPLAY, SAMPLER, Means, means_of
from deterministic_ml.engines.vllm.passes import force, trace
from deterministic_ml.engines.vllm.perturb import perturbing
from deterministic_ml.engines.vllm.perturb import weights as loader
from deterministic_ml.engines.vllm.settings import effective_settings, ranks
from deterministic_ml.engines.vllm.watch import Watch
from deterministic_ml.harness.errors import HarnessError

NO_PROGRESS: Any = None
KNOWN = {"logits_processors", "enable_trace_replay"}
WITHOUT_TORCH = unittest.skipIf(importlib.util.find_spec("torch") is None, "NEEDS torch: run with the engine's Python")
WITHOUT_TOKENIZERS = unittest.skipIf(
    importlib.util.find_spec("tokenizers") is None, "NEEDS tokenizers: run with the engine's Python"
)


def config(*, speculative: Any = None, v2: bool = False, mode: str = "raw_logprobs") -> Any:
    return SimpleNamespace(
        speculative_config=speculative, use_v2_model_runner=v2, model_config=SimpleNamespace(logprobs_mode=mode)
    )


def sized(**change: Any) -> Any:
    """vLLM's configuration for Llama 3.1 8B on one GPU, as far as the size of its cache is concerned."""
    told = {
        "device": "cuda", "speculative": None, "cache": "auto", "width": 2, "heads": 8, "layers": 32, "mla": False,
        "length": 131072, "stages": 1, "is_hybrid": False, "is_attention_free": False, "is_encoder_decoder": False,
        **change,
    }  # fmt: skip
    return SimpleNamespace(
        device_config=SimpleNamespace(device_type=told["device"]),
        speculative_config=told["speculative"],
        cache_config=SimpleNamespace(cache_dtype=told["cache"]),
        parallel_config=SimpleNamespace(pipeline_parallel_size=told["stages"]),
        model_config=SimpleNamespace(
            **{name: told[name] for name in ("is_hybrid", "is_attention_free", "is_encoder_decoder")},
            use_mla=told["mla"],
            max_model_len=told["length"],
            dtype=SimpleNamespace(itemsize=told["width"]),
            get_num_layers=lambda _: told["layers"],
            get_num_kv_heads=lambda _: told["heads"],
            get_head_size=lambda: 128,
        ),
    )


class ClassesTest(unittest.TestCase):
    def test_what_cannot_be_read_of_what_an_installation_brings_is_left(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            brought, cache = Path(folder, "share/vllm/modelinfos"), Path(folder, "cache")
            brought.mkdir(parents=True)
            (brought / "one.json").write_text("{}")
            (brought / "other.json").symlink_to("nowhere")
            with mock.patch.object(sys, "prefix", folder), mock.patch.dict(os.environ, VLLM_CACHE_ROOT=str(cache)):
                loading._bring_classes()
            self.assertEqual(os.listdir(cache / "modelinfos"), ["one.json"])


class MemoryTest(unittest.TestCase):
    GIB = 1 << 30

    def test_one_sequence_and_a_quarter_more(self) -> None:
        # 128 KiB a token.
        whole = memory.cache_bytes(sized())
        self.assertEqual(whole, (131072 + 512) * 128 * 1024 * 5 // 4)
        self.assertEqual(memory.cache_bytes(sized(cache="fp8_e4m3")), whole // 2 if whole else None)
        self.assertEqual(memory.cache_bytes(sized(mla=True)), whole // 2 if whole else None)
        self.assertEqual(memory.cache_bytes(sized(layers=31, stages=2)), whole, "a stage may have one layer more")

    def test_two_gib_at_least(self) -> None:
        self.assertEqual(memory.cache_bytes(sized(length=2048)), 2 * self.GIB)

    def test_what_is_counted_otherwise_is_left_to_vllm(self) -> None:
        for change in (
            {"device": "cpu"}, {"speculative": "ngram"}, {"is_hybrid": True}, {"is_attention_free": True},
            {"is_encoder_decoder": True},
        ):  # fmt: skip
            self.assertIsNone(memory.cache_bytes(sized(**change)), change)

    def test_only_what_was_left_to_us_is_counted(self) -> None:
        auto = {"seed": 0, memory.ARGUMENT: "auto"}
        self.assertEqual(memory.without(auto), {"seed": 0})
        self.assertEqual(memory.pinned(auto, sized(length=1024)), {"seed": 0, memory.ARGUMENT: 2 * self.GIB})
        self.assertEqual(memory.pinned(auto, sized(device="cpu")), {"seed": 0})
        self.assertEqual(memory.pinned(auto, None), {"seed": 0}, "vLLM is about to refuse the arguments")
        for own in ({"seed": 0}, {memory.ARGUMENT: 7}):
            self.assertEqual(memory.pinned(own, sized()), own)

    def test_a_neighbour_on_the_card_is_no_obstacle_where_the_bytes_are_given(self) -> None:
        share = {memory.SHARE: "auto"}
        self.assertEqual(memory.without(share), {})
        for size in ("auto", 7):
            self.assertEqual(memory.pinned({memory.ARGUMENT: size, **share}, sized())[memory.SHARE], 0.01)
        self.assertEqual(
            memory.pinned({memory.ARGUMENT: "auto", **share}, sized(is_hybrid=True)), {}, "vLLM finds its own"
        )
        self.assertEqual(memory.pinned(share, sized()), {}, "a vLLM without the argument finds its own")
        own = {memory.ARGUMENT: "auto", memory.SHARE: 0.5}
        self.assertEqual(memory.pinned(own, sized())[memory.SHARE], 0.5)


class DeterminismTest(unittest.TestCase):
    def told(self, value: str, cpu: bool = False, **modules: Any) -> bool | None:
        names = {
            "old": "vllm.model_executor.layers.batch_invariant",
            "new": "vllm.model_executor.determinism.batch_invariant",
        }
        loaded: dict[str, Any] = {
            "vllm": SimpleNamespace(),
            "vllm.platforms": SimpleNamespace(current_platform=SimpleNamespace(is_cpu=lambda: cpu)),
            **{names[name]: SimpleNamespace(_batch_invariant_MODE=flag) for name, flag in modules.items()},
        }
        with (
            mock.patch.dict(os.environ, {determinism.VARIABLE: value}),
            mock.patch.dict(sys.modules, {**dict.fromkeys(names.values()), **loaded}),
        ):
            return determinism.batch_invariant()

    def test_is_what_the_kernels_say_and_not_what_was_asked_for(self) -> None:
        self.assertIs(self.told("1", new=True), True)
        self.assertIs(self.told("1", new=False), False)
        self.assertIs(self.told("1", old=True), True)
        self.assertIsNone(self.told("0", new=True), "nobody asked")

    def test_is_not_known_where_a_version_has_another_flag(self) -> None:
        self.assertIsNone(self.told("1"))

    def test_is_not_on_a_cpu_whatever_the_flag_says(self) -> None:
        self.assertIs(self.told("1", cpu=True, new=True), False)
        self.assertIs(self.told("1", cpu=True), False)

    def test_of_all_workers_is_that_of_each(self) -> None:
        def settings(*flags: bool | None) -> Any:
            workers: list[dict[str, Any]] = [
                {"backends": [], "batch_invariant": flag, "collectives": "gloo"} for flag in flags
            ]
            with mock.patch.dict(os.environ, {determinism.VARIABLE: "1"}):
                return effective_settings(None, workers)["batch_invariant"]

        self.assertIs(settings(True, True), True)
        self.assertIs(settings(True, False), False)
        self.assertEqual(settings(True, None), "unknown")
        self.assertEqual(settings(), "unknown")
        with mock.patch.dict(os.environ, {determinism.VARIABLE: ""}):
            self.assertNotIn("batch_invariant", effective_settings(None, []))

    def test_several_ranks_say_by_what_they_are_summed(self) -> None:
        worker: dict[str, Any] = {"backends": [], "batch_invariant": False, "collectives": "gloo"}
        told = effective_settings(None, [worker] * 3)
        self.assertEqual((told["ranks"], told["collectives"]), (3, "gloo"))
        alone = effective_settings(None, [worker])
        self.assertEqual((alone["ranks"], "collectives" in alone), (1, False), "nothing is summed")
        self.assertEqual(effective_settings(None, [])["ranks"], "unknown")

    def test_ranks_by_arguments(self) -> None:
        self.assertEqual(ranks({"tensor_parallel_size": 2, "pipeline_parallel_size": 3, "seed": 7}), 6)
        self.assertEqual(ranks({"tensor_parallel_size": None, "data_parallel_size": 1}), 1)


class ForceTest(unittest.TestCase):
    def test_means(self) -> None:
        self.assertIs(means_of(config(), KNOWN), PROCESSOR)
        self.assertIs(means_of(config(v2=True), KNOWN), REPLAY, "a processor would bring back the first")
        self.assertIs(means_of(config(v2=True), {"logits_processors"}), SAMPLER)
        for told, known, expected in (
            (config(speculative="ngram"), KNOWN, "speculative decoding"),
            (config(mode="processed_logprobs"), KNOWN, "processed_logprobs"),
            (config(), set(), "no custom logits processors"),
        ):
            means = means_of(told, known)
            self.assertIn(expected, means.missing or "")
            self.assertEqual(means.engine_args({}), {}, "and then nothing is passed")

    def test_processors_of_the_suite_stay(self) -> None:
        args = PROCESSOR.engine_args({"logits_processors": ["a:B"]})
        self.assertEqual(args["logits_processors"][0], "a:B")
        self.assertEqual(args["logits_processors"][1], "deterministic_ml.engines.vllm.forcing:GivenTokens")

    def test_tokens_travel_as_the_means_take_them(self) -> None:
        self.assertEqual(PROCESSOR.params([3]), {"extra_args": {"deterministic_ml_given": [3]}})
        self.assertEqual(REPLAY.params([3]), {"trace_decode_token_ids": [3]})

    def test_means_of_workers_that_are_not_ready_are_none(self) -> None:
        def told(*reasons: str | None) -> Means:
            return SAMPLER.installed(SimpleNamespace(collective_rpc={"give_tokens": list(reasons)}.__getitem__))

        self.assertIs(told(None, None), SAMPLER)
        self.assertEqual(told(None, "why").missing, "why")
        self.assertIs(REPLAY.installed(None), REPLAY, "the workers are not asked for what they need not do")

    @WITHOUT_TORCH
    def test_a_sampler_gives_what_is_given(self) -> None:
        import torch
        from deterministic_ml.engines.vllm import sampler

        class Sampler:
            """The two methods as in vLLM 0.26.0: draws token 9 for each row."""

            def add_request(self, req_idx: int, prompt_len: int, sampling_params: Any) -> None: ...

            def sample(
                self,
                logits: Any,
                expanded_idx_mapping: Any,
                idx_mapping_np: Any,
                pos: Any,
                input_ids: Any,
                expanded_local_pos: Any,
                return_logprobs: bool = False,
            ) -> tuple[Any, Any]:
                return torch.full((len(idx_mapping_np),), 9), logits

        engine = Sampler()
        self.assertIsNone(sampler.install(engine))

        def add(row: int, given: list[int] | None) -> None:
            args = None if given is None else {GIVEN: given}
            engine.add_request(row, 4, SimpleNamespace(extra_args=args))

        def draw(**positions: int) -> list[int]:
            rows = torch.tensor([int(name[1:]) for name in positions]).numpy()
            at = torch.tensor(list(positions.values()))
            drawn, logits = engine.sample("logits", None, rows, at, None, None, return_logprobs=True)
            self.assertEqual(logits, "logits", "they are the model's own")
            return [int(token) for token in drawn]

        add(0, [5, 6])
        add(3, None)
        self.assertEqual(draw(_0=3, _3=3), [5, 9], "the last token of the prompt stands at position 3")
        self.assertEqual(draw(_3=4, _0=4), [9, 6], "whatever the order of the rows")
        self.assertEqual(draw(_0=5), [9], "past the last one it is free")
        self.assertEqual(draw(_0=1), [9], "a prefill that is not done draws nothing that counts")
        add(0, None)
        self.assertEqual(draw(_0=3), [9], "the row of a request that has ended is the next one's")

    @WITHOUT_TORCH
    def test_a_sampler_that_is_not_known_is_left_alone(self) -> None:
        from deterministic_ml.engines.vllm import sampler

        class Other:
            def add_request(self, row: int) -> None: ...

        engine = Other()
        self.assertIn("its sampler's `add_request`", sampler.install(engine) or "")
        self.assertNotIn("add_request", vars(engine))

    def test_unavailable_is_a_pass_that_gave_nothing(self) -> None:
        engine: Any = SimpleNamespace(forcing=Means(missing="why"), processes="1")
        result = force.run(engine, {"requests": []}, NO_PROGRESS)
        self.assertEqual((result.unavailable, result.observations, result.witness["requests"]), ("why", [], []))


class TraceTest(unittest.TestCase):
    def test_a_compiled_model_cannot_be_traced(self) -> None:
        model = SimpleNamespace(enforce_eager=False)
        engine: Any = SimpleNamespace(config=SimpleNamespace(model_config=model), processes="1")
        result = trace.run(engine, {"requests": []}, NO_PROGRESS)
        self.assertIn("`enforce_eager` is off", result.unavailable or "")

    def test_ranks(self) -> None:
        def of(*names: str) -> list[Digest]:
            return [{"name": name, "sha256": "", "nans": 0} for name in names]

        def merged(*ranks: list[Digest]) -> list[str]:
            return [module["name"] for module in tracing.merged(list(ranks))]

        self.assertEqual(merged(of("a", "b")), ["a", "b"])
        in_step = ["rank 0: a", "rank 1: a", "rank 0: b", "rank 1: b"]
        self.assertEqual(merged(of("a", "b"), of("a", "b")), in_step)
        self.assertEqual(merged(of("a", "b"), of("c")), ["rank 0: a", "rank 0: b", "rank 1: c"])
        gathered_on_one = ["rank 0: a", "rank 1: a", "rank 1: b", "rank 0: c", "rank 1: c"]
        self.assertEqual(merged(of("a", "c"), of("a", "b", "c")), gathered_on_one)
        self.assertEqual(merged(of("a"), of()), [], "half a model is none")


class Counting:
    """Metrics of an engine that gives one token each step."""

    log_stats = True
    tokens = 0
    read = 0

    def step(self) -> None:
        self.tokens += 1

    def get_metrics(self) -> list[Any]:
        self.read += 1
        told = {"vllm:generation_tokens": self.tokens, "vllm:num_requests_running": 3}
        return [SimpleNamespace(name=name, value=value) for name, value in told.items()]


class WatchTest(unittest.TestCase):
    """A scheduler in which two requests meet after a cut prefill."""

    def test_requests(self) -> None:
        requests = {name: SimpleNamespace(num_computed_tokens=cached, num_prompt_tokens=10, num_output_tokens=0)
                    for name, cached in (("7-x", 4), ("8-x", 0))}  # fmt: skip
        plan = iter([{"8-x": 6}, {"8-x": 4, "7-x": 6}, {"8-x": 1, "7-x": 1}, {}, {"7-x": 1}])

        class Scheduler:
            def __init__(self) -> None:
                self.requests = requests

            def schedule(self) -> Any:
                scheduled = next(plan)
                for name, tokens in scheduled.items():
                    requests[name].num_computed_tokens += tokens
                return SimpleNamespace(num_scheduled_tokens=scheduled)

        scheduler = Scheduler()
        watch = Watch(SimpleNamespace(log_stats=False), scheduler)
        watch.add("7-x", "a")
        watch.add("8-x", "b")
        with watch:
            for _ in range(5):
                scheduler.schedule()
        self.assertNotIn("schedule", vars(scheduler), "the class's own is back")
        told = watch.told("1")
        self.assertEqual((told["steps"], told["maxRunning"], told["generatedTokens"]), (4, 2, None))
        self.assertEqual(watch.generated, 2, "one token each at least: nothing here tells of more")
        self.assertEqual(told["requests"], [
            {"id": "a", "order": 1, "together": 2, "chunks": [6], "decodeSteps": 2, "cachedTokens": 4},
            {"id": "b", "order": 0, "together": 2, "chunks": [6, 4], "decodeSteps": 1, "cachedTokens": 0},
        ])  # fmt: skip

    def test_reading_the_metrics_is_no_part_of_a_step(self) -> None:
        """It takes 2 ms, as much as a step of a small model on a GPU."""

        class Scheduler:
            def schedule(self) -> None:
                raise AssertionError("nobody does")

        engine = Counting()
        with Watch(engine, Scheduler()) as watch:
            engine.step()
            watch.stepped()
            with watch.aside():
                engine.step()
            engine.step()
            watch.stepped()
        self.assertEqual((engine.read, watch.told("1")["generatedTokens"]), (4, 2), "what went on aside is not told")

    def test_without_a_scheduler_each_step_is_asked_for(self) -> None:
        engine = Counting()
        with Watch(engine, None) as watch:
            engine.step()
            watch.stepped()
            with watch.aside():
                engine.step()
            self.assertEqual(watch.generated, 1)
            engine.step()
            watch.stepped()
        told = watch.told("1")
        self.assertEqual((watch.generated, told["generatedTokens"], told["maxRunning"]), (2, 2, 3))

    def test_without_a_scheduler_nothing_is_guessed(self) -> None:
        watch = Watch(SimpleNamespace(log_stats=False), None)
        with watch:
            watch.stepped()
        told = watch.told("1")
        self.assertEqual((told.pop("process"), set(told.values())), ("1", {None}))


class PerturbationTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.model, self.scratch = Path(folder.name) / "model", Path(folder.name) / "scratch"
        self.model.mkdir()
        self.scratch.mkdir()
        self.write("config.json", {})

    def write(self, name: str, content: Any) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        (self.model / name).write_text(text, encoding="utf-8")

    def perturbed(self, kind: str) -> tuple[Path, Any]:
        with perturbing({"kind": kind}, str(self.model), self.scratch) as perturbed:
            return Path(perturbed.model), perturbed.told

    def test_none(self) -> None:
        with perturbing(None, str(self.model), self.scratch) as perturbed:
            self.assertEqual((perturbed.model, perturbed.told(None)), (str(self.model), None))
            self.assertNotIn(loader.VARIABLE, os.environ)
            self.assertIsNone(loader.install(), "and no loader is touched")

    def test_unknown(self) -> None:
        with self.assertRaisesRegex(HarnessError, "no perturbation `weather`"):
            self.perturbed("weather")

    def test_weights_are_changed_in_whatever_process_loads_them(self) -> None:
        with perturbing({"kind": "weight-bit"}, str(self.model), self.scratch):
            self.assertEqual(json.loads(os.environ[loader.VARIABLE]), {"kind": "weight-bit"})
        self.assertNotIn(loader.VARIABLE, os.environ)

    def test_space_wherever_a_template_is_kept(self) -> None:
        self.write("chat_template.jinja", "{% if 1 %}x{% endif %}")
        self.write("tokenizer_config.json", {"chat_template": [{"name": "tools", "template": "y"}], "bos": "é"})
        folder, told = self.perturbed("chat-template-space")
        self.assertEqual((folder / "chat_template.jinja").read_text(), "{{ ' ' }}{% if 1 %}x{% endif %}")
        config = json.loads((folder / "tokenizer_config.json").read_text())
        self.assertEqual(config, {"chat_template": [{"name": "tools", "template": "{{ ' ' }}y"}], "bos": "é"})
        self.assertEqual((folder / "config.json").resolve(), (self.model / "config.json").resolve())
        self.assertFalse((self.model / "chat_template.jinja").read_text().startswith("{{"), "the model's own stays")

        def engine(template: str) -> Any:
            config = SimpleNamespace(model_config=SimpleNamespace(hf_text_config="{}"))
            return SimpleNamespace(
                get_tokenizer=lambda: SimpleNamespace(chat_template=template),
                llm_engine=SimpleNamespace(vllm_config=config),
            )

        self.assertIn("chat_template.jinja and tokenizer_config.json", told(engine("{{ ' ' }}x")))
        with self.assertRaisesRegex(HarnessError, "does not use what was perturbed"):
            told(engine("x"))

    def test_nothing_to_perturb(self) -> None:
        for kind, expected in (("chat-template-space", "no chat template"), ("tokenizer-merge", "no tokenizer.json")):
            with self.subTest(kind), self.assertRaisesRegex(HarnessError, expected):
                self.perturbed(kind)

    @WITHOUT_TOKENIZERS
    def test_merge_in_both_spellings_of_merges(self) -> None:
        from tokenizers import Tokenizer

        spellings: list[tuple[str, Callable[[tuple[str, str]], Any]]] = [("Ġ", list), ("▁", " ".join)]
        for number, (space, spell) in enumerate(spellings):
            tokens = [space, "t", "h", "e", "he", f"{space}t", f"{space}the"]
            rules = [("h", "e"), (space, "t"), (f"{space}t", "he")]
            vocabulary = {token: i for i, token in enumerate(tokens)}
            bpe = {"type": "BPE", "vocab": vocabulary, "merges": [spell(rule) for rule in rules], "ignore_merges": True}
            normalizer = {"type": "Replace", "pattern": {"String": " "}, "content": space}
            self.write("tokenizer.json", {"version": "1.0", "normalizer": normalizer, "model": bpe})
            folder = files.overlay(self.model, files.tokenizer_merge(self.model), self._fresh(number))
            before, after = (Tokenizer.from_file(str(at / "tokenizer.json")) for at in (self.model, folder))
            self.assertEqual(before.encode(" the").tokens, [f"{space}the"])
            self.assertEqual(after.encode(" the").tokens, [f"{space}t", "he"])

    def _fresh(self, number: int) -> Path:
        folder = self.scratch / str(number)
        folder.mkdir()
        return folder

    @WITHOUT_TORCH
    def test_one_bit_of_one_weight(self) -> None:
        import torch

        for dtype in (torch.float32, torch.bfloat16, torch.float8_e4m3fn):
            change = weights.WeightBit({})
            weight = torch.ones(150, 150).to(dtype)
            for name in ("model.layers.1.mlp.down_proj.weight", "model.layers.2.mlp.up_proj.weight", "lm_head.weight"):
                self.assertIs(change.apply(name, weight, 4), weight)
            self.assertIsNone(change.told)
            changed = change.apply("model.layers.2.mlp.down_proj.weight", weight, 4)
            different = (changed.float() != weight.float()).nonzero().tolist()
            self.assertEqual(different, [[100, 50]])
            self.assertRegex(change.told or "", r"layers\.2\.mlp\.down_proj\.weight\[100,50\]: 1\.0 → 1\.\d+$")
            self.assertIs(change.apply("model.layers.2.mlp.experts.1.w2.weight", weight, 4), weight, "only one")

    @WITHOUT_TORCH
    def test_a_bit_at_a_place(self) -> None:
        import torch

        for dtype, bits in ((torch.float32, 32), (torch.bfloat16, 16), (torch.float8_e4m3fn, 8)):
            weight = torch.arange(1, 13, dtype=torch.float32).reshape(3, 4).to(dtype)
            for bit, after in ((bits - 1, -7.0), (0, None)):
                change = weights.WeightBit({"at": {"tensor": "a.weight", "index": 6, "bit": bit}})
                self.assertIs(change.apply("b.weight", weight, 4), weight)
                changed = change.apply("a.weight", weight, 4)
                self.assertEqual((changed.float() != weight.float()).nonzero().tolist(), [[1, 2]])
                if after is not None:
                    self.assertEqual(float(changed[1, 2]), after, "the highest bit is the sign")
                self.assertIn("a.weight[1,2]: 7.0 → ", change.told or "")
                self.assertTrue(
                    torch.equal(weights.flipped(changed, 6, bit).view(torch.uint8), weight.view(torch.uint8))
                )
        with self.assertRaisesRegex(HarnessError, "no bit 8"):
            weights.flipped(weight, 0, 8)

    @WITHOUT_TORCH
    def test_rounding(self) -> None:
        import torch

        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(8, 32, generator=generator).to(torch.bfloat16)
        weight[3] = 0
        for to, steps in (("int8", 127), ("fp8", 8)):
            narrow = weights.rounded(weight, to)
            self.assertEqual(narrow.dtype, weight.dtype)
            error = (narrow.float() - weight.float()).abs().amax(dim=1)
            bound = weight.float().abs().amax(dim=1) / steps
            self.assertTrue(bool((error <= bound).all()))
            self.assertTrue(bool((narrow[3] == 0).all()))
            change = weights.RoundWeights({"format": to})
            for name in ("model.embed_tokens.weight", "lm_head.weight", "model.layers.0.input_layernorm.weight"):
                self.assertIs(change.apply(name, weight, 4), weight)
            self.assertIsNone(change.told)
            change.apply("model.layers.0.self_attn.q_proj.weight", weight, 4)
            self.assertRegex(change.told or "", rf"^\d+ weights of 1 matrices, rounded to {to} and back$")


if __name__ == "__main__":
    unittest.main()
