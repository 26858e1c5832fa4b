"""A process that imports an engine and forks its lifetimes: what a fork is, and how each end of one is told."""

from __future__ import annotations

import select
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

import support
from drive import Host, request

# Stands for libcuda, which is nowhere here: 0 is CUDA_SUCCESS, 3 is CUDA_ERROR_NOT_INITIALIZED.
DRIVER = """
import ctypes, types
ctypes.CDLL = lambda name, mode=0: types.SimpleNamespace(cuDeviceGetCount=lambda count: {answer})
"""


# As a library names its own; 15 is PR_SET_NAME. It waits in a function that ctypes calls.
THREAD = """
import ctypes, threading
named = threading.Event()
def run():
    ctypes.CDLL(None).prctl(15, b"{name}", 0, 0, 0)
    named.set()
    ctypes.CDLL(None).usleep({milliseconds} * 1000)
threading.Thread(target=run, daemon=True).start()
named.wait()
"""


class WarmTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.scratch = self.root / "scratch"
        self.scratch.mkdir()
        support.stub_torch(self.root / "stub")

    def host(self, imports: str = "pass", loads: str = "pass", **options: Any) -> Host:
        model = support.tiny_model(self.root / "model")
        files = support.toy_files(loads, imports)
        task = {"engine": "toy", "model": str(model), "knownDigests": {}}
        environment = {"PYTHONPATH": str(self.root / "stub")}
        host = Host(
            task, files=files, environment=environment, warm=True, scratch=self.scratch, stderr=subprocess.DEVNULL,
            **options,
        )  # fmt: skip
        self.addCleanup(self.stop, host)
        return host

    def stop(self, host: Host) -> None:
        host.process.kill()
        host.process.wait()
        for stream in (host.process.stdin, host.process.stdout):
            assert stream is not None
            stream.close()

    def ready(self, host: Host) -> dict[str, Any]:
        return host.expect("ready")

    def live(self, host: Host) -> dict[str, Any]:
        """A whole lifetime; what it said of itself as it was loaded."""
        fork = host.fork()
        fork.expect("fingerprint")
        fork.send("load", args={}, defaults=[], perturbation=None, prompts=[], clock=0)
        told = fork.expect("lifetime")
        fork.run("generate", [request("a", {"text": "x"})], top_k=2)
        fork.send("end")
        fork.expect("done")
        return told

    def test_each_lifetime_is_a_process_of_its_own_and_the_import_is_one(self) -> None:
        host = self.host(
            imports="global AT; AT = os.getpid()",
            loads="Toy.effective = {'imported': AT, 'process': os.getpid(), 'parent': os.getppid()}",
        )
        self.assertIsNone(self.ready(host)["unfit"])
        told = []
        for _ in range(2):
            told.append(self.live(host)["settings"]["effective"])
            self.assertIsNone(self.ready(host)["unfit"])
        self.assertEqual({one["imported"] for one in told}, {host.process.pid})
        self.assertEqual({one["parent"] for one in told}, {host.process.pid})
        self.assertEqual(len({one["process"] for one in told}), 2)
        host.send("end")
        self.assertEqual(host.process.wait(20), 0)
        self.assertEqual(list(self.scratch.iterdir()), [])

    def test_what_of_the_sources_it_has_imported_is_told_after_each_lifetime_too(self) -> None:
        source = self.scratch / "sources"
        source.mkdir()
        (source / "imported.py").touch()
        other = self.scratch / "other.py"
        host = self.host(
            imports=f"sys.path.insert(0, {str(source)!r}); import imported",
            sources=[str(source), str(source / "imported.py"), str(other)],
        )
        told = [str(source), str(source / "imported.py")]
        self.assertEqual(self.ready(host)["imported"], told)
        self.live(host)
        self.assertEqual(self.ready(host)["imported"], told)

    def test_a_lifetime_finds_nothing_that_another_has_left(self) -> None:
        cache = self.scratch / "cache"
        host = self.host(
            loads=f"""
Toy.effective = {{"found": os.path.exists({str(cache / "kernel")!r}), "random": __import__("random").random()}}
os.makedirs({str(cache)!r}, exist_ok=True)
open({str(cache / "kernel")!r}, "w").close()
subprocess.Popen(["sleep", "600"], start_new_session=True)
"""
        )
        self.ready(host)
        told = []
        for _ in range(2):
            told.append(self.live(host)["settings"]["effective"])
            self.assertIsNone(self.ready(host)["unfit"], "its process was ended too")
            self.assertFalse(cache.exists())
        self.assertEqual([one["found"] for one in told], [False, False])
        self.assertNotEqual(told[0]["random"], told[1]["random"])

    def test_what_was_there_before_must_stay_what_it_was(self) -> None:
        kept = self.scratch / "kept"
        kept.write_text("as it was")
        host = self.host(loads=f"open({str(kept)!r}, 'w').write('other')")
        self.ready(host)
        self.live(host)
        self.assertRegex(self.ready(host)["unfit"], "changed kept")

    def test_an_import_that_asks_which_gpus_there_are_can_be_forked(self) -> None:
        host = self.host(imports=DRIVER.format(answer=3))
        self.assertIsNone(self.ready(host)["unfit"])

    def test_a_thread_that_knows_of_forks_is_no_obstacle(self) -> None:
        host = self.host(imports=THREAD.format(name="jemalloc_bg_thd", milliseconds=60_000))
        self.assertIsNone(self.ready(host)["unfit"])

    def test_a_thread_that_is_about_to_end_is_no_obstacle(self) -> None:
        host = self.host(imports=THREAD.format(name="some_pool", milliseconds=300))
        self.assertIsNone(self.ready(host)["unfit"])

    def test_an_import_that_forks_cannot_follow_is_told(self) -> None:
        for imports, why in (
            (DRIVER.format(answer=0), "initialised CUDA's driver"),
            (THREAD.format(name="some_pool", milliseconds=60_000), r"1 threads behind: some_pool \(.*_ctypes"),
            ("subprocess.Popen(['sleep', '60'])", "1 processes"),
            ("import torch; torch.cuda.is_initialized = lambda: True", "initialised CUDA"),
            ("raise ImportError('no such library')", "no such library"),
        ):
            host = self.host(imports=imports)
            self.assertRegex(self.ready(host)["unfit"], why)

    def test_a_fork_that_dies_is_its_parents_death(self) -> None:
        for number in (signal.SIGKILL, signal.SIGILL):
            host = self.host(loads=f"os.kill(os.getpid(), {int(number)})")
            self.ready(host)
            fork = host.fork()
            fork.expect("fingerprint")
            fork.send("load", args={}, defaults=[], perturbation=None, prompts=[], clock=0)
            self.assertEqual(host.process.wait(20), -number)

    def test_an_error_of_a_fork_ends_both(self) -> None:
        host = self.host(loads="raise MemoryError('too large')")
        self.ready(host)
        fork = host.fork()
        fork.expect("fingerprint")
        fork.send("load", args={}, defaults=[], perturbation=None, prompts=[], clock=0)
        with self.assertRaisesRegex(RuntimeError, "engine-out-of-memory"):
            fork.expect("lifetime")
        self.assertEqual(host.process.wait(20), 70)

    def test_the_death_of_the_parent_is_its_forks(self) -> None:
        host = self.host(loads="Toy.effective = {'process': os.getpid()}")
        self.ready(host)
        fork = host.fork()
        fork.expect("fingerprint")
        fork.send("load", args={}, defaults=[], perturbation=None, prompts=[], clock=0)
        child = int(fork.expect("lifetime")["settings"]["effective"]["process"])
        host.process.kill()
        host.process.wait(20)
        self.ended(child)

    def test_the_end_of_stdin_ends_a_fork_and_its_parent(self) -> None:
        host = self.host(loads="Toy.effective = {'process': os.getpid()}")
        self.ready(host)
        fork = host.fork()
        fork.expect("fingerprint")
        fork.send("load", args={}, defaults=[], perturbation=None, prompts=[], clock=0)
        child = int(fork.expect("lifetime")["settings"]["effective"]["process"])
        host.hang_up()
        self.assertEqual(host.process.wait(20), 75)
        self.ended(child)

    def test_the_end_of_stdin_ends_one_that_waits(self) -> None:
        host = self.host()
        self.ready(host)
        host.hang_up()
        self.assertEqual(host.process.wait(20), 75)
        self.assertEqual(list(self.scratch.iterdir()), [])

    def test_a_fork_has_a_deadline_of_its_own(self) -> None:
        host = self.host(loads="time.sleep(60)")
        self.ready(host)
        fork = host.fork(deadline=1)
        fork.expect("fingerprint")
        fork.send("load", args={}, defaults=[], perturbation=None, prompts=[], clock=0)
        with self.assertRaisesRegex(RuntimeError, "deadline-exceeded"):
            fork.expect("lifetime")
        self.assertEqual(host.process.wait(20), 70)

    def ended(self, process: int) -> None:
        """Its stdout is the host's too, which ends with the last that has it."""
        for _ in range(2000):
            try:
                state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                return
            if state in "ZX":
                return
            select.select([], [], [], 0.01)
        self.fail(f"{process} lives on")


if __name__ == "__main__":
    unittest.main()
