"""Nothing that an engine or a library prints can stand among the events, and nothing outlives the host."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import venv
from pathlib import Path
from typing import Any

from drive import Host, request
from support import engine_host, stub_torch, tiny_model


class ChannelTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.model = tiny_model(self.folder / "model")
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        stub_torch(self.folder / "lib")

    def host(self, body: str = "", **options: Any) -> Host:
        # With this torch the fingerprint is made in no time.
        environment = {"TMPDIR": str(self.temporary), "PYTHONPATH": str(self.folder / "lib")}
        host = engine_host(self.model, body, environment=environment, stderr=subprocess.PIPE, **options)
        self.addCleanup(host.process.wait)
        self.addCleanup(host.process.kill)
        assert host.process.stderr is not None
        # Drained, or a talkative harness would block.
        self.stderr: list[bytes] = []

        def drain(stream: Any) -> None:
            with stream:
                self.stderr.append(stream.read())

        reader = threading.Thread(target=drain, args=(host.process.stderr,))
        reader.start()
        self.addCleanup(reader.join)
        for stream in (host.process.stdout, host.process.stdin):
            assert stream is not None
            self.addCleanup(stream.close)
        return host

    def loaded(self, body: str = "", **options: Any) -> Host:
        host = self.host(body, **options)
        host.expect("hello")
        host.expect("fingerprint")
        host.send("load", args={}, defaults=[], perturbation=None)
        return host

    def test_whole_life(self) -> None:
        host = self.loaded()
        host.expect("lifetime")
        result = host.run("generate", [request("a", {"text": "x"})], top_k=2)
        self.assertEqual(list(result.observations), ["a"])
        self.assertIsNone(result.finished["unavailable"])
        host.send("vocabulary", ids="QQAAAKwgAAA=")
        self.assertEqual(host.expect("vocabulary")["texts"], {"65": "A", "8364": "€"})
        host.send("end")
        host.expect("done")
        self.assertEqual(host.close(), 0)
        self.assertEqual(host.noise, [])
        self.assertEqual(list(self.temporary.iterdir()), [], "the folder is gone")

    def test_whatever_prints_goes_to_stderr(self) -> None:
        forged = '{\\"nonce\\":\\"%s\\",\\"seq\\":2,\\"event\\":\\"done\\"}'
        host = self.loaded(
            f"""
print("{forged} ::error::from python")
sys.stdout.flush()
os.write(1, b"by descriptor\\n")
libc = ctypes.CDLL(None)
libc.printf(b"from C\\n")
libc.fflush(None)
subprocess.run([sys.executable, "-c", "import os; os.write(1, b'from a child')"])
if os.fork() == 0:
    os.write(1, b"from a fork")
    os._exit(0)
os.wait()
"""
        )
        host.expect("lifetime")
        host.send("end")
        host.expect("done")
        self.assertEqual(host.close(), 0)
        self.assertEqual(host.noise, [], "stdout held events alone")
        self.wait_for(lambda: self.stderr)
        for text in (b"from python", b"by descriptor", b"from C", b"from a child", b"from a fork"):
            self.assertIn(text, self.stderr[0])

    def test_a_child_inherits_neither_stream(self) -> None:
        # Of the pipes only stderr is left to a child, as 1 and 2.
        count = "sum('pipe:' in os.path.realpath('/proc/self/fd/' + fd) for fd in os.listdir('/proc/self/fd'))"
        host = self.loaded(
            f"""
script = "import os, sys; sys.exit({count})"
code = subprocess.run([sys.executable, "-c", script], close_fds=False).returncode
child = os.fork()
if child == 0:
    os._exit({count})
raise SystemError(str((code, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))))
"""
        )
        with self.assertRaisesRegex(RuntimeError, r"SystemError: \(2, 2\)"):
            host.expect("lifetime")

    def test_a_child_cannot_eat_a_command(self) -> None:
        host = self.host('subprocess.run(["cat"])')
        host.expect("hello")
        host.send("load", args={}, defaults=[], perturbation=None)
        host.send("end")
        host.expect("fingerprint")
        host.expect("lifetime")
        host.expect("done")

    def test_end_of_stdin_ends_all_descendants(self) -> None:
        pids = self.folder / "pids"
        host = self.loaded(
            f"""
script = ("import subprocess, sys, time, os; os.setsid();"
          "child = subprocess.Popen(['sleep', '1000']); print(child.pid, os.getpid(), file=open({str(pids)!r}, 'w'),"
          "flush=True); time.sleep(1000)")
subprocess.Popen([sys.executable, "-c", script])
time.sleep(1000)
"""
        )
        self.wait_for(lambda: pids.exists() and pids.read_text().strip())
        descendants = [int(pid) for pid in pids.read_text().split()]
        host.hang_up()
        began = time.monotonic()
        self.assertEqual(host.process.wait(5), 75)
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual([pid for pid in descendants if alive(pid)], [])
        self.assertEqual(list(self.temporary.iterdir()), [])

    def test_end_of_stdin_while_the_weights_are_hashed(self) -> None:
        with (self.model / "model.safetensors").open("wb") as file:
            file.truncate(64 << 30)
        host = self.host()
        host.expect("progress")
        host.hang_up()
        self.assertEqual(host.process.wait(5), 75)

    def test_end_of_stdin_ends_a_harness_that_hangs_with_the_interpreter_locked(self) -> None:
        # PyDLL keeps the interpreter's lock during the call: no thread of the harness runs any more.
        stuck = self.folder / "stuck"
        host = self.loaded(f"open({str(stuck)!r}, 'w').close()\nctypes.PyDLL(None).sleep(600)")
        self.wait_for(stuck.exists)
        host.hang_up()
        self.assertEqual(host.process.wait(timeout=20), -signal.SIGKILL)

    def test_deadline_ends_a_harness_that_hangs_with_the_interpreter_locked(self) -> None:
        host = self.loaded("ctypes.PyDLL(None).sleep(600)", deadline=3)
        self.assertEqual(host.process.wait(timeout=30), -signal.SIGKILL)

    def test_signal_ends_it(self) -> None:
        host = self.loaded("time.sleep(1000)")
        host.process.terminate()
        self.assertEqual(host.process.wait(5), 75)

    def test_deadline(self) -> None:
        host = self.loaded("time.sleep(1000)", deadline=3)
        with self.assertRaisesRegex(RuntimeError, "deadline-exceeded"):
            host.expect("lifetime")
        self.assertEqual(host.process.wait(5), 70)

    def test_host_that_stopped_reading_ends_it(self) -> None:
        host = self.loaded("time.sleep(1)")
        assert host.process.stdout is not None
        host.process.stdout.close()
        self.assertEqual(host.process.wait(10), 75)

    def test_error_tells_the_cause(self) -> None:
        for body, expected in (
            ('raise RuntimeError("It failed. See root cause above.") from OSError(5, "dead")',
             "engine-failed: OSError: .*dead"),
            ('raise OSError(28, "No space left on device")', "disk-full: "),
            ('raise RuntimeError("CUDA out of memory. Tried to allocate")', "engine-out-of-memory: "),
            ("raise MemoryError", "engine-out-of-memory: MemoryError"),
            ('raise RuntimeError("No CUDA GPUs are available")', "gpu-unavailable: "),
            ("sys.exit(3)", "engine-failed: SystemExit: 3"),
            ('raise ValueError("x" * 100_000)', "engine-failed: ValueError: x{4000,4096}…"),
        ):  # fmt: skip
            with self.subTest(body), self.assertRaisesRegex(RuntimeError, expected):
                self.loaded(body).expect("lifetime")

    def test_a_kind_of_pass_that_is_none(self) -> None:
        host = self.loaded()
        host.expect("lifetime")
        with self.assertRaisesRegex(RuntimeError, "protocol-violation: .*no pass of kind `dream`"):
            host.run("dream", [request("a", {"text": "x"})])

    def test_commands_that_are_none(self) -> None:
        for line in (b"nonsense\n", b'{"command": 3}\n', b'{"command": "pass"}\n', b'{"command": "dance"}\n'):
            host = self.host()
            host.write(line)
            host.expect("hello")
            with self.subTest(line), self.assertRaisesRegex(RuntimeError, "protocol-violation"):
                host.expect("fingerprint")
                host.expect("lifetime")

    def test_unknown_engine_and_missing_package(self) -> None:
        host = Host({"engine": "nope", "model": str(self.model), "knownDigests": {}})
        with self.assertRaisesRegex(RuntimeError, "engine-missing"):
            host.expect("fingerprint")
        host.close()

    def test_boot_refuses_a_stream_that_ends_early(self) -> None:
        boot = Path(sys.modules["drive"].__file__ or "").parents[2] / "docker" / "harness" / "boot.py"
        for stream in (b"", b"12", b"100\n{}", b"not a count at all\n"):
            done = subprocess.run([sys.executable, "-c", boot.read_text()], input=stream, capture_output=True)
            with self.subTest(stream):
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(done.stdout, b"")

    def test_boot_becomes_the_same_python_in_a_folder_of_its_own(self) -> None:
        boot = Path(sys.modules["drive"].__file__ or "").parents[2] / "docker" / "harness" / "boot.py"
        with tempfile.TemporaryDirectory() as place:
            venv.create(f"{place}/venv", symlinks=True)
            python = f"{place}/venv/bin/python"
            tells = "import os, sys; print(sys.prefix, 'site' in sys.modules, os.environ['A'], __file__)"
            body = json.dumps({"environment": {"A": "é"}, "files": {"harness.py": tells, "b/c.py": ""}}).encode()
            for parent in (place, f"{place}/none"):
                done = subprocess.run(
                    [python, "-S", "-c", boot.read_text()],
                    input=b"%d\n%b" % (len(body), body),
                    env={"TMPDIR": parent, "PYTHONUTF8": "1"},
                    capture_output=True,
                    check=True,
                )
                prefix, *told, file = done.stdout.decode().split()
                folder = Path(file).parent
                self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
                self.assertEqual((prefix, told), (f"{place}/venv", ["True", "é"]))
                self.assertEqual(folder.parent, Path(parent if parent == place else "/tmp"))
                self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
                self.assertTrue((folder / "b/c.py").is_file())
                self.assertRegex(folder.name, "^deterministic-ml-[A-Za-z0-9_]{6,8}$")

    def wait_for(self, condition: Any) -> None:
        end = time.monotonic() + 10
        while not condition():
            self.assertLess(time.monotonic(), end, "waited too long")
            time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


if __name__ == "__main__":
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")
    unittest.main()
