r"""Speaks the host's side of the harness protocol, for trying the real thing by hand and for the tests beside this.

    python test/harness/drive.py --python .cache/engine/bin/python --model FOLDER --arg dtype=float32 \
        --passes generate,generate,force,score,trace

prints what each stage took, and for each prompt digests of tokens and of log-probability bits. `force` and `score` are
given the tokens of the generation before them; a pass may be `generate:warm`, `score:strangers` and the like.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HARNESS = Path(__file__).resolve().parents[2] / "docker" / "harness"

SAMPLING = {
    "temperature": 0, "top_p": 1, "top_k": 0, "min_p": 0, "presence_penalty": 0, "frequency_penalty": 0,
    "repetition_penalty": 1, "seed": 0, "max_tokens": 32, "min_tokens": 0, "ignore_eos": False, "stop": [],
    "stop_token_ids": [],
}  # fmt: skip

# As src/engine/engines/vllm.ts has them.
DEFAULTS: dict[str, Any] = {
    "seed": 0, "generation_config": "vllm", "enforce_eager": True, "enable_prefix_caching": False,
    "async_scheduling": False, "enable_flashinfer_autotune": False, "disable_log_stats": False,
    # And this, since a GiB of keys and values takes half a second to be filled with zeros. A block has 128 tokens.
    "num_gpu_blocks_override": 32,
}  # fmt: skip
ENVIRONMENT = {
    "PYTHONHASHSEED": "0", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_CPU_KVCACHE_SPACE": "1", "TORCHDYNAMO_DISABLE": "1",
    # With so small a model a second thread mostly waits for the first: the same time and bits, for more of the CPU.
    "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}  # fmt: skip
PROMPTS: dict[str, dict[str, Any]] = {
    "capital": {"text": "The capital of France is"},
    "sky": {"messages": [{"role": "user", "content": "Explain why the sky is blue."}]},
    "count": {"text": "1, 2, 3, 4, 5,"},
    "code": {"text": "def fibonacci(n):\n"},
}
STRANGER = "A lighthouse keeper writes down the weather every evening: the wind, the waves and the ships. " * 12
CLOCK = 1_704_067_200


def harness_files() -> dict[str, str]:
    """Those that src/disk/harness-files.ts delivers, of whatever engine."""
    files = {path.relative_to(HARNESS).as_posix(): path for path in sorted(HARNESS.rglob("*.py"))}
    left_out = ("boot.py", "far.py", "fetch.py", "deterministic_ml/v1.py", "deterministic_ml/program/")
    return {name: path.read_text(encoding="utf-8") for name, path in files.items() if not name.startswith(left_out)}


def request(name: str, content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A request of a pass; fields of its sampling may stand among its own."""
    sampling = {**SAMPLING, **{field: fields.pop(field) for field in list(fields) if field in SAMPLING}}
    return {"id": name, "input": content, "sampling": sampling, "tokens": None, "observed": True, "limit": None,
            **fields}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What a pass gave."""

    finished: dict[str, Any]
    observations: dict[str, dict[str, Any]]

    @property
    def witnessed(self) -> dict[str, dict[str, Any]]:
        return {seen["id"]: seen for seen in self.finished["witness"]["requests"]}


class Host:
    """One harness process and the host's end of its streams."""

    def __init__(
        self,
        task: dict[str, Any],
        *,
        python: str = sys.executable,
        environment: dict[str, str] | None = None,
        deadline: float = 600,
        files: dict[str, str] | None = None,
        stderr: Any = None,
        warm: bool = False,
        scratch: Path | None = None,
        sources: list[str] | None = None,
    ) -> None:
        """@param warm a process that imports the engine and forks its lifetimes, below `scratch`
        @param sources whatever of which it imports it tells
        """
        self.nonce = secrets.token_hex(16)
        self.noise: list[bytes] = []
        self._seq = 0
        boot = (HARNESS / "boot.py").read_text(encoding="utf-8")
        # The variables of whoever runs this are not the harness's: a test must not depend on them.
        base = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        # What the engine of this host leaves goes with the host.
        if scratch is None:
            base["TMPDIR"] = tempfile.mkdtemp(prefix="dml-host-")
            weakref.finalize(self, shutil.rmtree, base["TMPDIR"], ignore_errors=True)
        else:
            base |= {"TMPDIR": str(scratch), "HOME": str(scratch), "DETERMINISTIC_ML_SCRATCH": str(scratch)}
        self.process = subprocess.Popen(
            [python, "-S", "-c", boot], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=base
        )
        start = {
            "protocol": 2,
            "nonce": self.nonce,
            "files": harness_files() if files is None else files,
            "environment": environment or {},
            "task": task,
            "deadlineSeconds": deadline,
            **({"warm": True} if warm else {}),
            **({"sources": sources} if sources else {}),
        }
        body = json.dumps(start).encode()
        self.write(b"%d\n%b" % (len(body), body))

    def fork(self, deadline: float = 600) -> Host:
        """A lifetime of a process that is warm; it is over when its `done` has come, and `ready` once more."""
        child = object.__new__(Host)
        child.nonce, child.noise, child._seq, child.process = secrets.token_hex(16), [], 0, self.process
        self.send("fork", nonce=child.nonce, deadlineSeconds=deadline)
        return child

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, command: str, **fields: Any) -> None:
        self.write(json.dumps({"command": command, **fields}).encode() + b"\n")

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def events(self) -> Iterator[dict[str, Any]]:
        """Events in order; what lacks the nonce is kept as noise, a wrong number is an error."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line == b"\n":
                continue  # begins an event
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if not isinstance(event, dict) or event.get("nonce") != self.nonce:
                self.noise.append(line)
                continue
            if event.pop("seq") != self._seq:
                raise AssertionError(f"event out of order: {line[:200]!r}")
            self._seq += 1
            del event["nonce"]
            yield event

    def expect(self, name: str, seen: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """The next event of that name; others on the way go to `seen`. An error raises."""
        for event in self.events():
            if event["event"] == name:
                return event
            if event["event"] == "error":
                raise RuntimeError(f"{event['code']}: {event['message']}")
            if seen is not None:
                seen.append(event)
        raise RuntimeError(f"the harness ended with {self.process.wait()} before `{name}`")

    def load(self, perturbation: dict[str, Any] | None = None, **args: Any) -> dict[str, Any]:
        """Loads with the defaults, of which `args` win."""
        defaults = [name for name in DEFAULTS if name not in args]
        self.send("load", args={"max_model_len": 1024, **DEFAULTS, **args}, defaults=defaults,
                  perturbation=perturbation)  # fmt: skip
        return self.expect("lifetime")

    def run(
        self,
        kind: str,
        requests: list[dict[str, Any]],
        *,
        groups: list[list[str]] | None = None,
        name: str | None = None,
        warm: bool = False,
        trace: bool = False,
        top_k: int = 5,
    ) -> Result:
        """One pass; each request alone unless `groups` says otherwise."""
        groups = [[one["id"]] for one in requests] if groups is None else groups
        self.send("pass", **{"pass": name or kind}, kind=kind, requests=requests, groups=groups, warm=warm,
                  trace=trace or kind == "trace", topK=top_k, clock=CLOCK)  # fmt: skip
        seen: list[dict[str, Any]] = []
        finished = self.expect("pass", seen)
        observations = {event["prompt"]: event for event in seen if event["event"] == "observation"}
        return Result(finished, observations)

    def close(self) -> int:
        self.hang_up()
        assert self.process.stdout is not None
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.stdout.close()


def channel(observation: dict[str, Any], name: str) -> dict[str, Any]:
    """One channel of an `observation` event; an empty one where there is none of that name."""
    return next((one for one in observation["channels"] if one["name"] == name), {"name": name})


def digest(channel: dict[str, Any]) -> str:
    """Of all that it holds but its name."""
    return hashlib.sha256(json.dumps(channel, sort_keys=True).encode()).hexdigest()[:12]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _pairs(items: list[str]) -> dict[str, str]:
    return dict(item.split("=", 1) for item in items)


def arranged(
    kind: str, arrangement: str, prompts: dict[str, dict[str, Any]], known: dict[str, str], max_tokens: int
) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """Requests and groups."""
    if kind == "trace":
        return [request("trace", {"text": "The quick brown fox jumps over the lazy dog."})], [["trace"]]
    given = known if kind in ("force", "score") else {}
    requests = [
        request(name, content, tokens=given.get(name), max_tokens=max_tokens) for name, content in prompts.items()
    ]
    if arrangement == "strangers":
        stranger = request("stranger", {"text": STRANGER}, observed=False, max_tokens=max_tokens)
        return [*requests, stranger], [[name, "stranger"] for name in prompts]
    if arrangement == "together":
        return requests, [list(prompts)]
    return requests, [[name] for name in prompts]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--model", required=True)
    parser.add_argument("--arg", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--passes", default="generate,generate", metavar="KIND[:ARRANGEMENT],…")
    parser.add_argument("--perturb", type=json.loads, help='such as {"kind":"weight-bit"}')
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--prompts", type=Path, help="JSON object: id -> text or messages")
    parser.add_argument("--deadline", type=float, default=600)
    parser.add_argument("--hang-up-after", type=float, help="close stdin after so many seconds")
    parser.add_argument("--json", action="store_true", help="print every event")
    options = parser.parse_args()

    began = time.monotonic()
    args = {name: _value(text) for name, text in _pairs(options.arg).items()}
    task = {"engine": "vllm", "model": options.model, "knownDigests": {}}
    host = Host(
        task, python=options.python, environment={**ENVIRONMENT, **_pairs(options.env)}, deadline=options.deadline
    )
    if options.hang_up_after is not None:
        threading.Timer(options.hang_up_after, host.hang_up).start()

    def stage(name: str) -> None:
        print(f"{time.monotonic() - began:7.2f} s  {name}", flush=True)

    def show(event: dict[str, Any]) -> dict[str, Any]:
        if options.json:
            print(json.dumps(event, indent=1))
        return event

    host.expect("hello")
    stage("hello")
    show(host.expect("fingerprint"))
    stage("fingerprint")
    loaded = show(host.load(options.perturb, **args))
    stage(f"lifetime, perturbed: {loaded['perturbed']}")
    prompts = json.loads(options.prompts.read_text()) if options.prompts else PROMPTS
    known: dict[str, str] = {}
    for number, what in enumerate(options.passes.split(","), 1):
        kind, _, arrangement = what.partition(":")
        requests, groups = arranged(kind, arrangement, prompts, known, options.max_tokens)
        result = host.run(
            kind,
            requests,
            groups=groups,
            name=f"{number} {what}",
            warm=arrangement == "warm",
            trace=kind == "score" and not arrangement,
        )
        finished = show(result.finished)
        told = finished["unavailable"] or json.dumps(finished["witness"])
        stage(f"{finished['pass']} in {finished['seconds']:.2f} s: {told}")
        for name, event in sorted(result.observations.items()):
            show(event)
            if kind == "generate":
                known[name] = channel(event, "tokens")["data"]
            print(f"    {name:10} {event['finishReason']} {channel(event, 'text').get('text', '')[:40]!r}")
            for one in event["channels"]:
                print(f"        {one['name']:14} {digest(one)} {len(one['digests']) if 'digests' in one else ''}")
    if known:
        host.send("vocabulary", ids=next(iter(known.values())))
        print(f"    {host.expect('vocabulary')['texts']}")
    host.send("end")
    host.expect("done")
    stage("done")
    code = host.close()
    stage(f"exit {code}, noise lines {len(host.noise)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
