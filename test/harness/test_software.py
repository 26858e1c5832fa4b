"""What is installed and what was loaded."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from hashlib import sha256
from pathlib import Path
from unittest import mock

import support  # noqa: F401
from deterministic_ml.harness import fingerprint, software

DPKG = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.39-0ubuntu8
Description: the library
 Version: of all libraries

Package: gone
Status: deinstall ok config-files
Version: 1

Package: bash
Status: hold ok installed
Multi-Arch: foreign
Version: 5.2
"""
APK = "C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\n\nP:busybox\nV:1.36\n\n"


class PackagesTest(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name)

    def put(self, name: str, text: str = "") -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def test_of_python(self) -> None:
        for name in ("first/xgrammar-0.1.20.dist-info/", "first/Old_Thing-1.0-py3.12.egg-info/", "second/a.py"):
            (self.root / name).mkdir(parents=True)
        self.put("second/xgrammar-9.dist-info/METADATA")
        self.put("second/nvidia_cublas_cu12-12.8.4.1.dist-info/METADATA")
        path = [str(self.root / "first"), str(self.root / "second"), str(self.root / "none"), "/usr/lib/python.zip"]
        self.assertEqual(
            software.distributions(path), {"nvidia-cublas-cu12": "12.8.4.1", "old-thing": "1.0", "xgrammar": "0.1.20"}
        )

    def test_of_this_python_are_those_that_importlib_finds(self) -> None:
        script = (
            "import importlib.metadata as m, json; print(json.dumps([d.metadata['Name'] for d in m.distributions()]))"
        )
        told = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout
        names = {re.sub(r"[-_.]+", "-", name).lower() for name in json.loads(told)}
        self.assertEqual(set(software.distributions(sys.path)), names)

    def test_versions_are_those_that_importlib_tells(self) -> None:
        egg = self.root / "flash_attn-2.8-py3.12-linux-x86_64.egg"
        self.put(f"{egg.name}/EGG-INFO/PKG-INFO", "Metadata-Version: 2.1\nName: flash-attn\nVersion: 2.8\n")
        self.put(
            "a/Some.Thing-1.0.dist-info/METADATA", "Name: Some.Thing\nVersion: 1.0+local\n\nVersion: of the text\n"
        )
        self.put("a/old_one.egg-info/PKG-INFO", "Name: old-one\nVersion: 3\n")
        self.put("a/older-1-py3.9.egg-info", "Name: older\nVersion: 0.1.2\n")
        self.put("b/some_thing-9.dist-info/METADATA", "Name: some-thing\nVersion: 9\n")
        path = [str(self.root / "a"), str(egg), str(self.root / "b"), str(self.root / "none")]
        with mock.patch.object(sys, "path", [*path, *sys.path]):
            names = {dist.metadata["Name"] for dist in importlib.metadata.distributions()}
            self.assertLess({"Some.Thing", "old-one", "older", "flash-attn"}, names)
            for name in names:
                self.assertEqual(fingerprint.version_of("nothing", [name]), importlib.metadata.version(name))
            self.assertEqual(fingerprint.version_of("nothing", ["some_thing"]), "1.0+local")
            self.assertEqual(fingerprint.version_of("nothing", ["not here"]), "none")

    def test_of_a_debian(self) -> None:
        self.put("var/lib/dpkg/status", DPKG)
        self.put("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2026a\n")
        dpkg = {"bash": "5.2", "libc6:amd64": "2.39-0ubuntu8", "tzdata": "2026a"}
        self.assertEqual(software.system_packages(self.root)["dpkg"], dpkg)

    def test_of_an_alpine(self) -> None:
        self.put("lib/apk/db/installed", APK)
        self.assertEqual(software.system_packages(self.root)["apk"], {"busybox": "1.36", "musl": "1.2.5-r0"})

    def test_of_a_system_that_keeps_no_list(self) -> None:
        self.assertEqual(software.system_packages(self.root), {"dpkg": {}, "apk": {}})

    def test_hostile_names_and_versions_are_made_plain_and_short(self) -> None:
        self.put("var/lib/dpkg/status", f"Package: a\x1b[31m\u202e{'x' * 300}\nVersion: 1\t{'2' * 300}\n")
        ((name, version),) = software.system_packages(self.root)["dpkg"].items()
        self.assertRegex(name, r"^[?x]{256}$")
        self.assertRegex(version, r"^1\?2{158}$")
        self.put(
            "var/lib/dpkg/status", "\n\n".join(f"Package: p{n}\nVersion: 1" for n in range(software.MAX_ENTRIES + 9))
        )
        self.assertEqual(len(software.system_packages(self.root)["dpkg"]), software.MAX_ENTRIES)


class ObjectsTest(unittest.TestCase):
    def test_are_those_of_the_process_itself_by_their_build_ids(self) -> None:
        found = software.objects([os.getpid()], "/nowhere")
        (libc,) = [told for name, told in found.items() if re.search(r"/libc[.-]", name)]
        self.assertRegex(libc, r"^build-id:[0-9a-f]{8,}$")
        self.assertFalse([name for name in found if name.startswith("[")], "no memory without a file")

    def test_of_the_run_itself_and_of_processes_that_are_gone_are_left_out(self) -> None:
        everywhere = software.objects([os.getpid()], "/")
        self.assertEqual(everywhere, {})
        self.assertEqual(software.objects([1 << 30], "/nowhere"), {})

    def test_without_a_build_id_are_told_by_their_bytes(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            small, large = Path(folder, "small"), Path(folder, "large")
            small.write_bytes(b"\x7fELF\x02\x01")
            self.assertEqual(software.identity_of(str(small)), f"sha256:{sha256(small.read_bytes()).hexdigest()}")
            with large.open("wb") as file:
                file.truncate(64 << 20)
            before = software.identity_of(str(large))
            self.assertRegex(before, r"^parts:67108864:[0-9a-f]{64}$")
            with large.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"x")
            self.assertNotEqual(software.identity_of(str(large)), before)
            os.mkfifo(Path(folder, "pipe"))
            self.assertRegex(software.identity_of(f"{folder}/pipe"), "^(unread|sha256:)", "nobody waits for a writer")
        self.assertEqual(software.identity_of(str(small)), "unread")

    def test_of_a_file_that_lies_about_itself(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "x.so")
            for header in (
                b"\x7fELF\x02\x01" + b"\xff" * 58,
                b"\x7fELF\x02\x01"
                + bytes(26)
                + (64).to_bytes(8, "little")
                + bytes(14)
                + b"\xff\xff\xff\xff"
                + bytes(6),
            ):
                file.write_bytes(header + b"\xff" * 4096)
                self.assertRegex(software.identity_of(str(file)), "^sha256:[0-9a-f]{64}$")

    def test_come_with_the_packages(self) -> None:
        told = software.Software().told()
        self.assertIn("objects", told)
        self.assertLessEqual(set(told), {"python", "dpkg", "apk", "rpm", "objects"})


if __name__ == "__main__":
    unittest.main()
