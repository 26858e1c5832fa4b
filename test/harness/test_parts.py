"""Parts of the harness that need no process of their own."""

from __future__ import annotations

import base64
import gc
import importlib.util
import math
import os
import struct
import tempfile
import types
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import support
from deterministic_ml import engines
from deterministic_ml.engines.common import variables
from deterministic_ml.engines.observation import Observation, decoded, digests, ids, pack_ids
from deterministic_ml.harness.devices import Devices
from deterministic_ml.harness.digests import digest_model, identity, needed
from deterministic_ml.harness.errors import HarnessError
from deterministic_ml.harness.fingerprint import Facts, _gpu, cpu_level, environment
from deterministic_ml.harness.main import _settings


class Progress:
    """Counts what would be reported."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0

    def progress(self, _what: str, total: int) -> Progress:
        self.total = total
        return self

    def add(self, units: int) -> None:
        self.done += units


class VariablesTest(unittest.TestCase):
    def settings(self, *processes: dict[str, str]) -> dict[str, Any]:
        running: Any = types.SimpleNamespace(
            dropped=["y"], effective={"dtype": "float32"}, variables=lambda names: list(processes)
        )
        return _settings(running, {"x": 1}, {"SEED": "0", "THREADS": "2"})

    def test_that_are_as_asked_for_are_not_told(self) -> None:
        told = self.settings({"SEED": "0", "THREADS": "2"}, {})
        self.assertEqual(told, {"requested": {"x": 1}, "dropped": ["y"], "effective": {"dtype": "float32"}})

    def test_that_are_other_in_any_process_are(self) -> None:
        told = self.settings({"SEED": "0", "THREADS": "2"}, {"THREADS": "4", "SEED": variables.UNSET}, {"THREADS": "8"})
        self.assertEqual(
            told["effective"],
            {"dtype": "float32", "environment.SEED": "(not set)", "environment.THREADS": "4"},
        )

    def test_of_this_process_are_what_it_has_now(self) -> None:
        with mock.patch.dict(os.environ, {"SEED": "7"}):
            self.assertEqual(variables.here(["SEED", "NONE"]), {"SEED": "7", "NONE": "(not set)"})


class DigestsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.model = support.tiny_model(Path(folder.name) / "model")

    def digest(self, known: dict[str, str] | None = None) -> Any:
        self.progress = Progress()
        channel: Any = self.progress
        return digest_model(self.model, known or {}, channel)

    def code(self) -> str:
        with self.assertRaises(HarnessError) as caught:
            self.digest()
        self.message = caught.exception.message
        return caught.exception.code

    def test_files_in_order_with_sizes(self) -> None:
        result = self.digest()
        self.assertEqual([f["path"] for f in result.files], ["config.json", "model.safetensors", "tokenizer.json"])
        self.assertEqual(result.files[0]["bytes"], 21)
        self.assertEqual(self.progress.done, self.progress.total)

    def test_a_known_identity_is_not_read_again(self) -> None:
        weights = self.model / "model.safetensors"
        remembered = {identity(weights.stat()): "f" * 64}
        self.assertEqual(self.digest(remembered).files[1]["sha256"], "f" * 64)
        self.assertEqual(self.progress.done, self.progress.total)
        weights.write_bytes(weights.read_bytes())
        self.assertNotEqual(self.digest(remembered).files[1]["sha256"], "f" * 64, "written again: a new identity")

    def test_a_pointer_is_no_model(self) -> None:
        (self.model / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:a\n")
        self.assertEqual(self.code(), "model-missing")
        self.assertIn("model.safetensors is a pointer of Git LFS", self.message)

    def test_links_of_the_hub_cache_are_followed(self) -> None:
        snapshot = self.model.parent / "snapshot"
        snapshot.mkdir()
        for file in self.model.iterdir():
            (snapshot / file.name).symlink_to(os.path.relpath(file, snapshot))
        expected = self.digest()
        self.model = snapshot
        linked = self.digest()
        self.assertEqual((linked.files, linked.identities), (expected.files, expected.identities))

    def test_what_was_digested_is_what_was_loaded(self) -> None:
        changes: tuple[Callable[[Path], object], ...] = (
            lambda file: file.write_bytes(file.read_bytes()),
            lambda file: file.unlink(),
            lambda file: file.rename(file.with_suffix(".bak")),
        )
        for change in changes:
            support.tiny_model(self.model)
            digested = self.digest()
            digested.check_unchanged()
            change(self.model / "tokenizer.json")
            with self.assertRaises(HarnessError) as caught:
                digested.check_unchanged()
            self.assertEqual(caught.exception.code, "model-changed")
            self.assertIn("tokenizer.json changed while it was loaded", caught.exception.message)

    def test_what_is_missing_or_unreadable(self) -> None:
        (self.model / "model.safetensors").unlink()
        (self.model / "model.safetensors").symlink_to("nowhere")
        self.assertEqual(self.code(), "model-unreadable")
        self.assertIn("model.safetensors", self.message)
        (self.model / "model.safetensors").unlink()
        os.mkfifo(self.model / "model.safetensors")
        self.assertEqual(self.code(), "model-unreadable")
        self.assertIn("model.safetensors is no file", self.message)
        (self.model / "config.json").unlink()
        self.assertEqual(self.code(), "model-missing")
        self.model = self.model / "nothing"
        self.assertEqual(self.code(), "model-missing")

    def test_what_an_engine_needs(self) -> None:
        names = ["model.safetensors", "pytorch_model.bin", "README.md", "config.json", ".cache/x.json", "a/tok.model"]
        self.assertEqual(needed(names), ["a/tok.model", "config.json", "model.safetensors"])
        self.assertIn("pytorch_model.bin", needed(["pytorch_model.bin"]))


class ObservationTest(unittest.TestCase):
    def channels(self, top_k: int, logprob: float, top: dict[int, float], text: str | None = "é") -> dict[str, Any]:
        channels = decoded(prompt_tokens=[1], tokens=[9], logprobs=[logprob], top=[top], top_k=top_k, text=text)
        event = Observation("p", "stop", channels).packed()
        self.assertEqual((event["prompt"], event["finishReason"]), ("p", "stop"))
        return {channel["name"]: channel for channel in event["channels"]}

    def ids(self, channel: dict[str, Any]) -> tuple[int, ...]:
        return struct.unpack(f"<{channel['k']}I", base64.b64decode(channel["ids"]))

    def test_channels_of_a_decoder_in_order(self) -> None:
        channels = self.channels(1, -0.5, {9: -0.5})
        self.assertEqual(list(channels), ["prompt-tokens", "tokens", "logprobs", "top-k", "text"])
        self.assertEqual(channels["tokens"], {"name": "tokens", "kind": "ids", "data": pack_ids([9])})
        self.assertEqual(channels["text"], {"name": "text", "kind": "text", "text": "é"})
        self.assertNotIn("text", self.channels(1, -0.5, {9: -0.5}, text=None))

    def test_a_further_channel_comes_last(self) -> None:
        first = Observation("p", "given", [ids("prompt-tokens", [1])])
        seen = first.and_also(digests("modules", [{"name": "a", "sha256": "0", "nans": 0}]))
        self.assertEqual([channel["name"] for channel in seen.packed()["channels"]], ["prompt-tokens", "modules"])
        self.assertEqual(len(first.channels), 1)

    def test_best_first_then_by_id_without_the_chosen_beyond_k(self) -> None:
        top = self.channels(3, -4.0, {9: -4.0, 8: -1.0, 3: -1.0, 5: -0.5})["top-k"]
        self.assertEqual((self.ids(top), top["k"], top["nans"]), ((5, 3, 8), 3, 0))

    def test_nan_is_counted_and_last(self) -> None:
        channels = self.channels(2, math.nan, {9: math.nan, 8: -1.0})
        self.assertEqual(self.ids(channels["top-k"]), (8, 9))
        self.assertEqual([channels[name]["nans"] for name in ("logprobs", "top-k")], [1, 1])

    def test_minus_zero_and_infinity(self) -> None:
        channels = self.channels(1, -0.0, {9: -math.inf})
        self.assertEqual(base64.b64decode(channels["logprobs"]["data"]), struct.pack("<f", 0.0))
        self.assertEqual(base64.b64decode(channels["top-k"]["nats"]), struct.pack("<f", -math.inf))

    def test_bits_that_would_be_lost_are_an_error(self) -> None:
        with self.assertRaisesRegex(ValueError, "no float32"):
            self.channels(0, -0.1, {})

    def test_too_few(self) -> None:
        with self.assertRaisesRegex(ValueError, "fewer than 2"):
            self.channels(2, -0.5, {9: -0.5})
        with self.assertRaisesRegex(ValueError, "for 2 tokens"):
            decoded(prompt_tokens=[1], tokens=[9, 8], logprobs=[-0.5], top=[{9: -0.5}], top_k=1)

    def test_none(self) -> None:
        top = self.channels(0, -0.5, {9: -0.5})["top-k"]
        self.assertEqual((top["ids"], top["nats"], top["k"]), ("", "", 0))


class FingerprintTest(unittest.TestCase):
    v2 = "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3"
    v3 = f"{v2} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
    v4 = f"{v3} avx512f avx512bw avx512cd avx512dq avx512vl"

    def test_cpu_level(self) -> None:
        for flags, level in (
            ("fpu sse2", "x86-64"),
            (self.v2, "x86-64-v2"),
            (self.v3, "x86-64-v3"),
            (self.v3.replace("abm ", ""), "x86-64-v2"),
            (self.v4, "x86-64-v4"),
            (f"{self.v4} avx512_bf16", "x86-64-v4-bf16"),
            (f"{self.v4} avx512_bf16 amx_tile amx_bf16", "x86-64-v4-amx"),
            ("", "unknown"),
        ):
            self.assertEqual(cpu_level("x86_64", flags.split()), level)
        self.assertEqual(cpu_level("aarch64", ["fp", "asimd", "bf16", "sve"]), "aarch64-sve-bf16")
        self.assertEqual(cpu_level("riscv64", []), "riscv64")

    def test_environment_holds_what_matters_and_no_secret(self) -> None:
        variables = {
            "VLLM_X": "1",
            "NCCL_ALGO": "tree",
            "HF_HUB_OFFLINE": "1",
            "HF_TOKEN": "s",
            "VLLM_API_KEY": "s",
            "HOME": "/",
            "HF_HOME": "h",
            "VLLM_CACHE_ROOT": "c",
        }
        known = {"NCCL_ALGO": "tree", "HF_HUB_OFFLINE": "1"}
        self.assertEqual(environment(variables, ("VLLM_",)), {"VLLM_X": "1", **known})
        # Another engine's are no matter.
        self.assertEqual(environment(variables, ()), known)


@unittest.skipIf(importlib.util.find_spec("transformers") is None, "NEEDS transformers: run with the engine's Python")
class ClockTest(unittest.TestCase):
    def test_chat_templates_see_the_frozen_clock_and_then_the_real_one(self) -> None:
        from deterministic_ml.engines.common.clock import frozen
        from transformers.utils.chat_template_utils import render_jinja_template

        def render() -> str:
            template = "{{ strftime_now('%Y-%m-%d %H:%M') }}"
            return str(render_jinja_template([[{"role": "user", "content": ""}]], chat_template=template)[0][0])

        with frozen(1_704_067_200):
            self.assertEqual(render(), "2024-01-01 00:00")
        self.assertNotEqual(render(), "2024-01-01 00:00")


class PublicApiTest(unittest.TestCase):
    def test_seeds_repeat(self) -> None:
        import random

        from deterministic_ml.v1 import set_deterministic

        set_deterministic(7)
        first = random.random()
        set_deterministic(7)
        self.assertEqual(random.random(), first)

    def test_system_info_is_json(self) -> None:
        import json

        from deterministic_ml.v1 import system_info

        info = json.loads(json.dumps(system_info()))
        self.assertEqual(set(info), {"machine", "python", "system", "cuda"})
        self.assertGreater(info["machine"]["cpu"]["count"], 0)


class GpuTest(unittest.TestCase):
    """What torch tells of a GPU, by a torch that says what the real one said on it."""

    def told(self, properties: str, version: str, of: str = "cuda") -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "torch.py").write_text(
                "from types import SimpleNamespace as N\n"
                f"gpu = N({properties})\n"
                f"version = N({version})\n"
                "__config__ = N(show=lambda: '')\n"
                "backends = N(cpu=N(get_cpu_capability=lambda: ''), cudnn=N(version=lambda: 1))\n"
                f"{of} = N(is_available=lambda: True, device_count=lambda: 1, get_device_properties=lambda _: gpu)\n"
                + ("" if of == "cuda" else "cuda = N(is_available=lambda: False)\n")
            )
            with mock.patch.dict(os.environ, {"PYTHONPATH": folder}):
                (gpu,) = Facts().wait()["gpus"]
                return _gpu(gpu, Devices())

    def test_of_nvidia_the_compute_capability_is_a_number_though_torch_gives_its_name_as_architecture(self) -> None:
        # As torch 2.11.0+cu130 tells it of an H100.
        gpu = self.told(
            "name='NVIDIA H100 80GB HBM3', gcnArchName='NVIDIA H100 80GB HBM3', uuid='x', major=9, minor=0,"
            " multi_processor_count=132, total_memory=85017493504",
            "cuda='13.0', hip=None",
        )
        self.assertEqual((gpu["computeCapability"], gpu["smCount"]), ("9.0", 132))
        self.assertEqual((gpu["vendor"], gpu["vbios"], gpu["mig"]), ("nvidia", "unknown", "none"))

    def test_a_torch_that_does_not_tell_is_no_machine_without_a_gpu(self) -> None:
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"PYTHONPATH": folder}):
            for text in ("import os; os._exit(3)", "raise ImportError('libcudart.so.13')"):
                Path(folder, "torch.py").write_text(text)
                with self.assertRaisesRegex(HarnessError, "torch does not tell what this machine has"):
                    Facts().wait()

    def test_a_torch_of_this_process_is_asked_only_where_its_build_knows_no_device(self) -> None:
        itself = types.SimpleNamespace(
            version=types.SimpleNamespace(cuda=None, hip=None),
            backends=types.SimpleNamespace(cpu=types.SimpleNamespace(get_cpu_capability=lambda: "itself")),
            __config__=types.SimpleNamespace(show=lambda: ""),
            cuda=types.SimpleNamespace(is_available=lambda: False),
        )
        none = "cuda = None\nhip = None\n"
        with tempfile.TemporaryDirectory() as folder:
            support.stub_torch(Path(folder))
            package = Path(folder, "torch")
            there = types.SimpleNamespace(origin=str(package / "__init__.py"))
            with (
                mock.patch.dict(os.environ, {"PYTHONPATH": folder}),
                mock.patch("importlib.util.find_spec", return_value=there),
            ):
                self.assertEqual(Facts(None, lambda: itself).wait()["capability"], "AVX2", "it does not say")
                for built in (f"{none}xpu = '2025'", "cuda = '13.0'\nhip = None\nxpu = None", none, "raise OSError"):
                    (package / "version.py").write_text(built)
                    self.assertEqual(Facts(None, lambda: itself).wait()["capability"], "AVX2")
                (package / "version.py").write_text(f"{none}xpu = None")
                self.assertEqual(Facts(None, lambda: itself).wait()["capability"], "itself")
                self.assertEqual(Facts().wait()["capability"], "AVX2", "where this process does not import it")
                with self.assertRaisesRegex(HarnessError, "does not tell what this machine has: .*libgomp.so.1"):
                    Facts(None, mock.Mock(side_effect=ImportError("libgomp.so.1"))).wait()

    def test_of_amd_it_is_the_name_of_the_architecture(self) -> None:
        gpu = self.told(
            "name='AMD Instinct MI300X', gcnArchName='gfx942:sramecc+:xnack-', uuid='x', major=9, minor=4,"
            " multi_processor_count=304, total_memory=206141652992",
            "cuda=None, hip='6.4'",
        )
        self.assertEqual((gpu["computeCapability"], gpu["vendor"]), ("gfx942", "amd"))

    def test_a_place_on_the_bus_that_torch_does_not_tell_costs_nothing(self) -> None:
        for place in ("pci_domain_id=None, pci_bus_id=1, pci_device_id=0,", ""):
            gpu = self.told(
                f"name='AMD Instinct MI300X', gcnArchName='gfx942', uuid='x', major=9, minor=4, {place}"
                " multi_processor_count=304, total_memory=206141652992",
                "cuda=None, hip='6.4'",
            )
            self.assertEqual(gpu["vbios"], "unknown")

    def test_of_intel_torch_tells_under_another_name(self) -> None:
        gpu = self.told(
            "name='Intel(R) Data Center GPU Max 1550', uuid='x', architecture=0x3000000, max_compute_units=512,"
            " total_memory=68719476736, driver_version='1.6.33578'",
            "cuda=None, hip=None",
            of="xpu",
        )
        self.assertEqual((gpu["computeCapability"], gpu["vendor"], gpu["smCount"]), ("xe-3000000", "intel", 512))


class EnginesTest(unittest.TestCase):
    def test_an_import_is_not_looked_through_for_garbage(self) -> None:
        self.addCleanup(gc.unfreeze)
        while_imported = []

        def preload(model: str) -> None:
            while_imported.append(gc.isenabled())
            raise ImportError(model)

        module: Any = types.SimpleNamespace(preload=preload)
        with self.assertRaises(ImportError):
            engines.preload(module, "a model")
        self.assertEqual(while_imported, [False])
        self.assertTrue(gc.isenabled(), "afterwards it is, whatever came of the import")
        self.assertGreater(gc.get_freeze_count(), 0, "and what was imported is left alone")

    """The list of engines without each of its lines: just that engine is gone."""

    def listed(self, text: str) -> Any:
        module = types.ModuleType(engines.__name__)
        module.__package__ = engines.__package__
        exec(compile(text, "engines", "exec"), module.__dict__)
        return module

    def test_an_engine_whose_line_is_taken_out_is_unknown_and_no_other(self) -> None:
        text = Path(engines.__file__).read_text()
        for name in engines.ENGINES:
            line = f'    "{name}",\n'
            self.assertEqual(text.count(line), 1)
            left = self.listed(text.replace(line, ""))
            rest = [one for one in engines.ENGINES if one != name]
            # Whatever is installed here.
            with mock.patch("importlib.util.find_spec", return_value="there"):
                self.assertEqual([left.find(one).NAME for one in rest], rest)
            with self.assertRaises(HarnessError) as caught:
                left.find(name)
            self.assertEqual(caught.exception.code, "engine-missing")
            self.assertIn(f"no engine `{name}`; it has {', '.join(rest)}", caught.exception.message)


if __name__ == "__main__":
    unittest.main()
