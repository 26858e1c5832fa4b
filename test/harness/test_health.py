"""The health of GPUs: what is read of each capture, how a child is limited, and a card that does not repeat itself.

`python3 test/harness/test_health.py --write` writes what is read to test/fixtures/health/readings.jsonl, from which the
policy's own tests and the table in docs/health.md go on.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import support
from captures import CAPTURES, FIXTURES, Capture, read
from deterministic_ml.harness import health, reading, selftest, smi
from deterministic_ml.harness.devices import uuid_hash
from deterministic_ml.harness.selftest import repeat, self_test
from fuzz_smi import FIRST_SEED, fuzz

READINGS = FIXTURES / "readings.jsonl"


def readings() -> str:
    """One line a capture."""
    rows = (
        {"id": name, "what": capture.what, "real": capture.real, "reading": read(capture)}
        for name, capture in CAPTURES.items()
    )
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


class CapturesTest(unittest.TestCase):
    maxDiff = 4000

    def test_each_is_read_as_the_table_says(self) -> None:
        told, now = ([json.loads(row) for row in text.splitlines()] for text in (READINGS.read_text(), readings()))
        self.assertEqual([row["id"] for row in told], list(CAPTURES))
        for row, read_now in zip(told, now, strict=True):
            with self.subTest(row["id"]):
                self.assertEqual(row, read_now)

    def test_names_of_processes_are_printable_and_short(self) -> None:
        [found] = read(CAPTURES["foreign-hostile"])["gpus"][0]["processes"]
        self.assertEqual(len(found["name"]), reading.MAX_TEXT)
        self.assertTrue(found["name"].isprintable())

    def test_no_answer_is_a_reason_to_raise(self) -> None:
        for at in range(0, len(CAPTURES["h100"].xml or ""), 997):
            reading = read(Capture("cut", (CAPTURES["h100"].xml or "")[:at]))
            self.assertEqual(reading["state"], "unreadable")


class HostileTest(unittest.TestCase):
    @support.tried(
        "capture of a GPU, hostile",
        "an `nvidia-smi` that prints entities, endless names, numbers that are none, or half of its answer",
        "a reading with a state and short, printable names: what cannot be read is told as that, never a bug",
    )
    def test_whatever_it_prints_is_a_reading(self) -> None:
        for csv in ("²", "9" * 5000, "-", "\0"):
            with self.subTest(csv[:10]):
                self.assertEqual(read(Capture("index", csv=f"{csv}, valid\n"))["state"], "read")
        declared = (CAPTURES["h100"].xml or "").replace("<nvidia_smi_log>", '<!ENTITY a "b"><nvidia_smi_log>', 1)
        self.assertEqual(read(Capture("entities", declared))["state"], "unreadable")
        began = time.monotonic()
        unclosed = f"<nvidia_smi_log>{'<process_name>' * 200_000}</nvidia_smi_log>"
        self.assertEqual(read(Capture("names that never close", unclosed))["state"], "unreadable")
        self.assertLess(time.monotonic() - began, 20, "it grows with the text alone")
        found = fuzz(300, FIRST_SEED)
        self.assertEqual(found.crashes, [])
        self.assertGreater(found.states["read"], 50)


class SmiTest(unittest.TestCase):
    """A real child: a shell script in the place of nvidia-smi."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.program = Path(folder.name) / "nvidia-smi"
        path = os.environ["PATH"]
        os.environ["PATH"] = f"{folder.name}:{path}"
        self.addCleanup(os.environ.__setitem__, "PATH", path)

    def smi(self, body: str) -> None:
        self.program.write_text(f"#!/bin/sh\n{body}\n")
        self.program.chmod(0o755)

    def test_output_and_exit_code(self) -> None:
        self.smi('echo "$LC_ALL $1"; echo oops >&2; exit 14')
        self.assertEqual(smi.ask_smi(["-q"], 10), smi.Answer(14, "C -q\n", "oops\n"))

    def test_one_that_hangs_is_stopped(self) -> None:
        self.smi("echo begun; exec sleep 1000")
        began = time.monotonic()
        answer = smi.ask_smi([], 0.3)
        self.assertLess(time.monotonic() - began, 10)
        assert answer is not None
        self.assertIsNone(answer.exit)

    def test_one_that_never_stops_writing_is_stopped_long_before_the_disk_is_full(self) -> None:
        self.smi("exec yes")
        began = time.monotonic()
        answer = smi.ask_smi([], 60)
        self.assertLess(time.monotonic() - began, 30)
        assert answer is not None
        self.assertIsNone(answer.exit)

    def test_none_is_none(self) -> None:
        os.environ["PATH"] = str(self.program.parent)
        self.assertIsNone(smi.ask_smi([], 10))

    def test_more_than_anybody_reads_is_cut(self) -> None:
        self.smi("yes | head -c 9000000")
        answer = smi.ask_smi([], 60)
        assert answer is not None
        self.assertEqual(len(answer.out), smi.MAX_BYTES)


class LifeTest(unittest.TestCase):
    """A whole life of the harness, with a torch and an nvidia-smi of the test's."""

    def test_is_told_with_the_fingerprint_and_at_the_end(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            support.stub_torch(folder / "lib", gpus=1)
            (folder / "h100.xml").write_text(CAPTURES["h100"].xml or "")
            (folder / "smi").mkdir()
            smi = folder / "smi" / "nvidia-smi"
            smi.write_text(f'#!/bin/sh\n[ "$1" = -q ] && cat {folder}/h100.xml || echo "0, valid"\n')
            smi.chmod(0o755)
            host = support.engine_host(
                support.tiny_model(folder / "model"),
                environment={"PYTHONPATH": str(folder / "lib"), "PATH": f"{smi.parent}:{os.environ['PATH']}"},
            )
            for stream in (host.process.stdin, host.process.stdout):
                assert stream is not None
                self.addCleanup(stream.close)
            self.addCleanup(host.process.wait)
            self.addCleanup(host.process.kill)
            host.expect("hello")
            before: dict[str, Any] = host.expect("fingerprint")["health"]
            self.assertEqual((before["at"], before["state"], before["gpus"][0]["infoRom"]), ("before", "read", "valid"))
            # The stub has no operators, and a self-test that cannot be done is no fault of the card's.
            self.assertIsNotNone(before["selfTest"]["why"])
            host.send("load", args={}, defaults=[], perturbation=None)
            host.expect("lifetime")
            host.send("end")
            after: dict[str, Any] = host.expect("done")["health"]
            self.assertEqual((after["at"], after["state"], len(after["gpus"])), ("after", "read", 1))


class SelfTestTest(unittest.TestCase):
    def clock(self) -> float:
        self.now = getattr(self, "now", -0.1) + 0.1
        return self.now

    def test_a_card_that_repeats_itself_has_one_result(self) -> None:
        found = repeat([lambda: b"x", lambda: b"y"], 1.0, self.clock)
        self.assertEqual(found["distinct"], [1, 1])
        self.assertGreater(found["rounds"], 5)

    def test_one_wrong_result_is_caught(self) -> None:
        results = iter([b"x", b"x", b"z"] + [b"x"] * 100)
        self.assertEqual(repeat([lambda: b"y", lambda: next(results)], 1.0, self.clock)["distinct"], [1, 2])

    def test_it_is_done_twice_however_slow(self) -> None:
        self.assertEqual(repeat([lambda: b"x"], 0.0, self.clock)["rounds"], 2)

    def test_one_card_that_cannot_be_tested_hides_no_other(self) -> None:
        def work(_torch: Any, device: str, _size: int) -> Any:
            if device == "cuda:1":
                raise MemoryError("full")
            return lambda: device.encode()

        with mock.patch.object(selftest, "work_of", work):
            found = self_test(None, ["cuda:0", "cuda:1", "cuda:2"], 0.0)
            self.assertEqual((found["distinct"], found["why"]), ([1, None, 1], "cuda:1: MemoryError: full"))
            none = self_test(None, ["cuda:1"], 60.0)
            self.assertEqual((none["rounds"], none["distinct"]), (0, [None]), "and nothing is waited for")

        def card(index: int) -> dict[str, Any]:
            return {"uuidHash": uuid_hash(f"{index}" * 8), "index": index}

        seen = [uuid_hash(f"{index}" * 8) for index in range(3)]
        told = health._of_self_test({"selfTest": found}, seen, {"gpus": [card(index) for index in range(3)]})
        assert told is not None
        self.assertEqual([one["gpu"] for one in told["gpus"]], [0, 2])
        self.assertEqual(told["why"], "cuda:1: MemoryError: full")

    def test_real_operators_repeat_and_a_flipped_bit_is_seen(self) -> None:
        try:
            import torch
            from torch.utils._python_dispatch import TorchDispatchMode
        except ImportError:
            self.skipTest("no torch here")
        products = 0

        class OneBit(TorchDispatchMode):
            """Flips the lowest bit of one number of the first product of the second round."""

            def __torch_dispatch__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
                nonlocal products
                result = func(*args, **(kwargs or {}))
                if func is torch.ops.aten.mm.default:
                    products += 1
                    if products == 3:
                        result.view(torch.int32)[0, 0] ^= 1
                return result

        self.assertEqual(self_test(torch, ["cpu"], 0.05, 64)["distinct"], [1])
        with OneBit():
            self.assertEqual(self_test(torch, ["cpu"], 0.0, 64)["distinct"], [2])


if __name__ == "__main__":
    if "--write" in sys.argv:
        READINGS.write_text(readings())
    else:
        unittest.main()
