"""Runs a command on a node of a Ray cluster, with the stdin, stdout and stderr of this program: a launcher.

    --launcher "python3 launch.py --num-gpus 1 --resources '{\"h100\": 1}'"

Ray starts it where there are such resources, and has them back when the command has ended or this program is gone.
Ray and Python must be of the same version here and there, as for any of its drivers.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading

import ray
from ray.exceptions import RayError

CHUNK_BYTES = 1 << 18


# A thread for each stream, and one that waits for the end.
@ray.remote(max_concurrency=4, max_restarts=0)
class Command:
    """The far half: the command is a child of one of Ray's workers."""

    def __init__(self, words: list[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(words, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe)

    def write(self, data: bytes) -> bool:
        """Hands on what came over stdin; nothing is its end. Whether there is a reader still."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            left = memoryview(data)
            while left:
                left = left[stdin.write(left) :]
        except BrokenPipeError:
            return False
        if not data:
            stdin.close()
        return True

    def read(self, name: str) -> bytes:
        """The next that the command says, at least a byte; nothing is its end."""
        stream = self._process.stdout if name == "stdout" else self._process.stderr
        assert stream is not None
        return stream.read(CHUNK_BYTES)

    def wait(self) -> int:
        return self._process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--address", default="auto", help="of the cluster (auto: RAY_ADDRESS, or the one of this machine)"
    )
    parser.add_argument("--num-cpus", type=float, default=1)
    parser.add_argument("--num-gpus", type=float, default=0)
    parser.add_argument(
        "--resources", type=json.loads, default={}, help="a JSON object; one that a single node has names it"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    ray.init(address=asked.address, log_to_driver=False, logging_level="error")
    needs = {"num_cpus": asked.num_cpus, "num_gpus": asked.num_gpus, "resources": asked.resources}
    command = Command.options(**needs).remote(asked.command)

    def send() -> None:
        data = b"first"
        with contextlib.suppress(RayError):
            while data and ray.get(command.write.remote(data := os.read(0, CHUNK_BYTES))):
                pass

    def hear(name: str, to: int) -> None:
        with contextlib.suppress(RayError):
            while data := ray.get(command.read.remote(name)):
                left = memoryview(data)
                while left:
                    left = left[os.write(to, left) :]

    # None of them keeps this program from its end, with which Ray ends what it started.
    threading.Thread(target=send, daemon=True).start()
    ears = [threading.Thread(target=hear, args=one, daemon=True) for one in (("stdout", 1), ("stderr", 2))]
    for ear in ears:
        ear.start()
    try:
        status: int = ray.get(command.wait.remote())
    except RayError as error:
        print(f"launch.py: {type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    for ear in ears:
        ear.join()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
