"""A deployment's command line and a model's sampling, as vLLM itself reads them. Needs vLLM, and starts no engine."""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import support
from deterministic_ml.engines.vllm import sampling, served
from deterministic_ml.harness.errors import HarnessError

WITH_VLLM = unittest.skipIf(importlib.util.find_spec("vllm") is None, "NEEDS vLLM: run with the engine's Python")


class PlacesTest(unittest.TestCase):
    """Versions keep their parser and their templates in different modules: docs/compatibility.md has them all."""

    def test_the_first_that_a_version_has_is_taken(self) -> None:
        for modules, name, only in (
            (served._SERVERS, "make_arg_parser", "vllm.entrypoints.common.cli_args"),  # from 0.33 on
            (served._TEMPLATES, "load_chat_template", "vllm.renderers.chat_utils"),  # 0.32
        ):
            others = dict.fromkeys(modules, SimpleNamespace())
            found = {**others, only: SimpleNamespace(**{name: "it"})}
            with mock.patch.dict("sys.modules", found):
                self.assertEqual(served._of(modules, name), "it")

    def test_a_version_that_has_none_is_told(self) -> None:
        with mock.patch.dict("sys.modules", dict.fromkeys(served._SERVERS, SimpleNamespace())):
            with self.assertRaises(HarnessError) as raised:
                served._of(served._SERVERS, "make_arg_parser")
            self.assertIn("no `make_arg_parser`", raised.exception.message)


@WITH_VLLM
class LineTest(unittest.TestCase):
    def line(self, words: str, **own: Any) -> served.Served:
        return served.parse(words.split(), "determinism.yml:4", own)

    def refused(self, words: str) -> str:
        with self.assertRaises(HarnessError) as raised:
            self.line(words)
        self.assertEqual(raised.exception.code, "engine-rejected")
        self.assertIn("engine.serve (determinism.yml:4): ", raised.exception.message)
        return raised.exception.message

    def test_what_the_engine_takes_is_kept_and_the_server_s_is_named(self) -> None:
        line = self.line(
            "--max-model-len 4k --kv_cache_dtype fp8 -tp 2 --no-enable-prefix-caching --port 8000 --disable-log-stats"
            " --enable-auto-tool-choice --tool-call-parser hermes --served-model-name x --compilation-config.mode 3"
        )
        expected: dict[str, Any] = {
            "max_model_len": 4000, "kv_cache_dtype": "fp8", "tensor_parallel_size": 2, "enable_prefix_caching": False,
        }  # fmt: skip
        self.assertEqual({name: line.args[name] for name in line.args if name != "compilation_config"}, expected)
        self.assertEqual(dict(line.told), {**expected, "compilation_config": {"mode": 3}}, "as it was written")
        left_out = ["disable-log-stats", "enable-auto-tool-choice", "port", "served-model-name", "tool-call-parser"]
        self.assertEqual(line.dropped, [f"--{name}" for name in left_out])

    def test_nothing_said_is_nothing_asked(self) -> None:
        self.assertEqual(self.line(""), served.Served({}, {}, [], {}))

    def test_a_flag_that_it_does_not_know(self) -> None:
        message = self.refused("--max-modl-len 4096 --other-key hunter2")
        self.assertIn("unrecognized arguments: --max-modl-len; did you mean `--max-model-len`?", message)
        self.assertNotIn("hunter2", message, "what is not known may be a secret")
        self.assertIn("--max-model-le", self.refused("--max-model-le 4096"))

    def test_a_value_that_it_does_not_take(self) -> None:
        self.assertIn("argument --max-model-len: invalid", self.refused("--max-model-len abc"))
        self.assertIn("invalid choice: 'nope'", self.refused("--kv-cache-dtype nope"))

    def test_what_cannot_be_measured_is_refused_by_name(self) -> None:
        self.assertIn("`--config` names a file", self.refused("--config x.yaml"))
        self.assertIn("`--data-parallel-size`", self.refused("--data-parallel-size 2"))
        self.assertEqual(self.line("-dp 2", data_parallel_size=1).told, {"data_parallel_size": 2})
        self.assertIn("`--worker-extension-cls` is taken", self.refused("--worker-extension-cls a.B"))
        self.assertIn("--chat-template", self.refused("--chat-template /nowhere.jinja"))

    def test_a_chat_template_renders(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "own.jinja")
            file.write_text("{{ messages[0].content }}")
            line = self.line(f"--chat-template {file} --chat-template-content-format string")
        self.assertEqual(line.rendering["chat_template"], "{{ messages[0].content }}")
        self.assertEqual(line.rendering["chat_template_content_format"], "string")
        self.assertEqual((line.args, line.told["chat_template"]), ({}, str(file)))


class SamplingTest(unittest.TestCase):
    def config(self, source: str, said: dict[str, Any]) -> Any:
        diff = {name: value for name, value in said.items() if name in sampling._OF_MODEL}
        return SimpleNamespace(
            generation_config=source,
            try_get_generation_config=lambda: said,
            get_diff_sampling_param=lambda: {**diff, "max_tokens": 5} if source == "auto" else {},
        )

    @support.odd(
        "a `generation_config.json` with defaults of sampling",
        "under deterministic defaults they are not taken, and are told; as it is served, they are",
    )
    def test_what_a_server_would_read_is_told_where_it_is_not_read(self) -> None:
        said = {"repetition_penalty": 1.3, "top_k": None, "eos_token_id": 2}
        self.assertEqual(sampling.unread(self.config("vllm", said)), {sampling.FILE: {"repetition_penalty": 1.3}})
        self.assertEqual(sampling.unread(self.config("auto", said)), {})

    def test_the_length_is_the_suite_s(self) -> None:
        self.assertEqual(sampling.of_model(self.config("auto", {"top_k": 7})), {"top_k": 7})

    @WITH_VLLM
    def test_what_nobody_says_is_the_engine_s(self) -> None:
        told = sampling.told({"repetition_penalty": 1.3, "temperature": 0.0})
        self.assertEqual((told["sampling.repetition_penalty"], told["sampling.temperature"]), (1.3, 0.0))
        self.assertEqual((told["sampling.top_p"], told["sampling.ignore_eos"]), (1.0, False))


@WITH_VLLM
class FileTest(unittest.TestCase):
    def test_as_vllm_reads_it(self) -> None:
        """The real configuration of a model that is no more than its two files."""
        from vllm import EngineArgs

        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"HF_HUB_OFFLINE": "1"}):
            llama = {
                "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "vocab_size": 128,
                "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "torch_dtype": "float32",
            }  # fmt: skip
            Path(folder, "config.json").write_text(json.dumps(llama))
            Path(folder, "generation_config.json").write_text('{"repetition_penalty": 1.3, "eos_token_id": 2}')
            of = {
                source: EngineArgs(
                    model=folder, generation_config=source, max_model_len=64, skip_tokenizer_init=True
                ).create_model_config()
                for source in ("vllm", "auto")
            }
            self.assertEqual(sampling.unread(of["vllm"]), {sampling.FILE: {"repetition_penalty": 1.3}})
            self.assertEqual(sampling.of_model(of["vllm"]), {})
            self.assertEqual(sampling.of_model(of["auto"]), {"repetition_penalty": 1.3})


if __name__ == "__main__":
    unittest.main()
