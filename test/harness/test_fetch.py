"""Fetching with the hub's real client from a small server of its file API."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

import support
from drive import Host
from hub import MODEL, REVISION, Hub

SECONDS = 60


@unittest.skipIf(
    importlib.util.find_spec("huggingface_hub") is None, "NEEDS huggingface_hub: run with the engine's Python"
)
class FetchTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.source = support.tiny_model(self.folder / "source")
        (self.source / "pytorch_model.bin").write_bytes(b"the same weights again")
        (self.source / "README.md").write_text("not needed")
        (self.source / "sub").mkdir()
        (self.source / "sub" / "chat_template.jinja").write_text("{{ messages }}")
        self.target = self.folder / "target"

    def start(self, hub: Hub, revision: str = REVISION, **environment: str) -> Host:
        environment = {
            "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(self.folder / "home"), "TMPDIR": str(self.folder),
            "HF_HUB_DISABLE_TELEMETRY": "1", **environment,
        }  # fmt: skip
        task = {"kind": "fetch", "model": MODEL, "revision": revision, "folder": str(self.target)}
        host = Host(task, environment=environment, deadline=SECONDS, stderr=subprocess.DEVNULL)
        self.addCleanup(host.close)
        return host

    def fetch(self, hub: Hub, revision: str = REVISION, **environment: str) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        self.start(hub, revision, **environment).expect("done", seen)
        return [event for event in seen if event["event"] == "progress"]

    def assert_complete(self) -> None:
        names = {p.relative_to(self.target).as_posix() for p in self.target.rglob("*") if p.is_file()}
        needed = {"config.json", "model.safetensors", "tokenizer.json", "sub/chat_template.jinja"}
        self.assertEqual(names, needed | {".deterministic-ml.json"})
        for name in needed:
            file = self.target / name
            self.assertEqual(file.read_bytes(), (self.source / name).read_bytes())
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o644)
        for folder in (self.target, self.target / "sub"):
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o755)

    def assert_refused(self, hub: Hub, expected: str, **options: str) -> None:
        with self.assertRaisesRegex(RuntimeError, expected):
            self.fetch(hub, **options)
        self.assertFalse((self.target / ".deterministic-ml.json").exists())
        self.assertFalse((self.target / "model.safetensors").exists())

    def test_whole_then_nothing_to_do(self) -> None:
        os.umask(0o077)
        self.addCleanup(os.umask, 0o022)
        with Hub(self.source) as hub:
            seen = self.fetch(hub)
            self.assert_complete()
            fetched = [event for event in seen if event["what"] == "fetch"]
            self.assertGreaterEqual(fetched[-1]["total"], 1 << 20)
            self.assertEqual(fetched[-1]["done"], fetched[-1]["total"])
            hub.requests.clear()
            self.fetch(hub)
            self.assertEqual(hub.requests, [], "the marker suffices")
            (self.target / "model.safetensors").unlink()
            self.fetch(hub)
            self.assert_complete()

    def test_other_revision_leaves_nothing_of_the_first(self) -> None:
        with Hub(self.source) as hub:
            self.fetch(hub)
        (self.source / "sub" / "chat_template.jinja").rename(self.source / "added.json")
        with Hub(self.source, revision="c" * 40) as hub:
            self.fetch(hub, "c" * 40)
        self.assertTrue((self.target / "added.json").exists())
        self.assertFalse((self.target / "sub" / "chat_template.jinja").exists())

    def test_broken_connection_is_resumed(self) -> None:
        # The client keeps what it has in blocks of 10 MB: of a smaller file there would be nothing to resume.
        (self.source / "model.safetensors").write_bytes(os.urandom(24 << 20))
        with Hub(self.source, fault="truncate-once") as hub:
            self.fetch(hub)
            self.assert_complete()
            ranges = [asked for method, _, asked in hub.requests if method == "GET" and asked]
            self.assertEqual(ranges, ["bytes=10485760-"], "the rest, not all of it again")

    def test_server_error_is_retried(self) -> None:
        with Hub(self.source, fault="500-once") as hub:
            self.fetch(hub)
        self.assert_complete()

    def test_killed_in_the_middle_then_again(self) -> None:
        (self.source / "other.safetensors").write_bytes(b"small")
        with Hub(self.source, fault="slow") as hub:
            host = self.start(hub)
            partial = self.target / ".partial"
            self.wait_for(lambda: (partial / "other.safetensors").exists() and list(partial.rglob("*.incomplete")))
            host.process.kill()
            host.process.wait()
        self.assertFalse((self.target / "config.json").exists(), "nothing is in place before all is verified")
        with Hub(self.source) as hub:
            self.fetch(hub)
            again = {path for method, path, _ in hub.requests if method == "GET" and "/cdn/" in path}
            self.assertEqual(len(again), 1, "what had arrived whole is not fetched again")
        (self.target / "other.safetensors").unlink()
        self.assert_complete()

    def test_corrupted(self) -> None:
        for fault, name in (("corrupt-small", "config.json"), ("corrupt", "model.safetensors")):
            self.target = self.folder / fault
            with self.subTest(fault), Hub(self.source, fault=fault) as hub:
                self.assert_refused(hub, f"model-fetch-failed: .*{name}.* arrived corrupted")
                self.assertFalse((self.target / ".partial" / name).exists(), "else it would pass for fetched")
        with Hub(self.source) as hub:
            self.fetch(hub)
        self.assert_complete()

    def test_wrong_revision(self) -> None:
        with Hub(self.source) as hub:
            self.assert_refused(hub, "model-fetch-failed: .*404", revision="d" * 40)
            self.assert_refused(hub, "model-fetch-failed: .*answered with commit a{40}", revision="main")
        with Hub(self.source, fault="moved") as hub:
            self.assert_refused(hub, "model-fetch-failed: .*answered with commit b{40}")

    def test_gated(self) -> None:
        with Hub(self.source, token="hf_right") as hub:
            self.assert_refused(hub, "model-fetch-failed: .*401", HF_TOKEN="hf_wrong")
            self.fetch(hub, HF_TOKEN="hf_right")
        self.assert_complete()

    def test_no_network(self) -> None:
        hub = Hub(self.source)
        hub.server_close()
        self.assert_refused(hub, "model-fetch-failed: ")

    def test_marker_tells_what_it_is(self) -> None:
        with Hub(self.source) as hub:
            self.fetch(hub)
        marker = json.loads((self.target / ".deterministic-ml.json").read_text())
        self.assertEqual((marker["model"], marker["revision"]), (MODEL, REVISION))

    def wait_for(self, condition: Any) -> None:
        end = time.monotonic() + SECONDS
        while not condition():
            self.assertLess(time.monotonic(), end, "waited too long")
            time.sleep(0.02)


if __name__ == "__main__":
    unittest.main()
