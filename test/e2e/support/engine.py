"""An engine that does what a test tells it: in their copy of the action, the tests put it in place of engines/vllm.

`engine.args` of the suite hold Python: `on_load` runs as the engine loads and may change `args`, `on_step` at each
token, `on_pass` at the end of each pass, whose `witness` it may change, `on_close` at the end; VLLM_CPU_CACHE_ON_IMPORT
of `engine.env` (deflated, in base64) runs first of all. `text`, `logprob`, `prompt_tokens`, `dropped` and `effective`
are what it claims, `variables` what it claims of the environment; `shift` is added to each token that it chooses, of
prompts that hold `where`, `trace` is mixed into the digests of its modules from number `trace_from` on, and
`unavailable` tells for a kind of pass why there is none.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deterministic_ml.engines.common import variables
from deterministic_ml.engines.observation import Observation, Pass, decoded, digests, ids, unpack_ids
from deterministic_ml.harness.channel import Command, Progress
from deterministic_ml.harness.lifeline import identity

NAME = "vllm"
# Any package that every Python has.
PACKAGE = "json"
DISTRIBUTIONS: Sequence[str] = ()
VARIABLES = ("VLLM_",)

MODULES = ("model.layers.0.mlp.down_proj", "model.layers.0.mlp", "model.layers.0", "model.norm")


def load(model: str, command: Command, scratch: Path) -> Scripted:
    args = dict(command["args"])
    _play(args.get("on_load", ""), args=args)
    running = Scripted(args, command["perturbation"])
    sampled_by = Path(model, "generation_config.json")
    if sampled_by.is_file():
        running.unread = {sampled_by.name: json.loads(sampled_by.read_text())}
    return running


class Scripted:
    def __init__(self, args: Mapping[str, Any], perturbation: Mapping[str, Any] | None) -> None:
        self._args = args
        self._kind = None if perturbation is None else perturbation["kind"]
        # A whole nat more, so that the sum stays a float32.
        self._nats = args.get("logprob", -0.25) - (1 if self._kind == "round-weights" else 0)
        self.dropped: list[str] = list(args.get("dropped", []))
        self.effective: dict[str, Any] = dict(args.get("effective", {}))
        self.unread: dict[str, Any] = {}
        self.perturbed = None if self._kind is None else f"{self._kind}, as told"

    def run(self, command: Command, progress: Progress) -> Pass:
        kind = command["kind"]
        reason = self._args.get("unavailable", {}).get(kind)
        if reason is not None:
            return Pass(_witness([], 0), unavailable=reason)
        requests = {request["id"]: request for request in command["requests"]}
        seen: list[dict[str, Any]] = []
        done: list[tuple[Any, list[int], list[int]]] = []
        steps = tokens = 0
        for group in command["groups"]:
            for request in (requests[name] for name in group):
                prompt, chosen = self._prompt(request), self._decoded(kind, request)
                for step in range(len(chosen)):
                    _play(self._args.get("on_step", ""), step=step)
                    tokens += 1
                    progress.set(len(done), tokens)
                prefilled = _sequence(request, prompt) if kind in ("score", "trace") else prompt
                # Of a prompt in the cache, the last token is computed all the same.
                cached = len(prompt) - 1 if command["warm"] else 0
                seen.append(
                    {
                        "id": request["id"],
                        "order": len(seen),
                        "together": len(group),
                        "chunks": [len(prefilled) - cached],
                        "decodeSteps": len(chosen) - 1,
                        "cachedTokens": cached,
                    }
                )
                done.append((request, prompt, chosen))
            steps += max(request["decodeSteps"] + 1 for request in seen[-len(group) :])
        observed = [entry for entry in done if entry[0]["observed"]]
        sampling = dict(observed[0][0]["sampling"])
        witness = _witness(seen, steps)
        _play(self._args.get("on_pass", ""), name=command["pass"], witness=witness)
        observations = [self._observe(command, *entry) for entry in observed]
        return Pass(witness, sampling, observations)

    def vocabulary(self, ids: Sequence[int]) -> dict[int, str]:
        return {token: f" w{token}" for token in ids}

    def variables(self, names: Sequence[str]) -> list[Mapping[str, str]]:
        return [variables.here(names), self._args.get("variables", {})]

    def close(self) -> None:
        _play(self._args.get("on_close", ""))

    def _prompt(self, request: Mapping[str, Any]) -> list[int]:
        changed = "messages" if self._kind == "chat-template-space" else "text"
        is_changed = self._kind in ("chat-template-space", "tokenizer-merge") and changed in request["input"]
        tokens: list[int] = self._args.get("prompt_tokens", [1, 2, 3])
        return [9, *tokens] if is_changed else tokens

    def _decoded(self, kind: str, request: Mapping[str, Any]) -> list[int]:
        if kind == "force" and request["observed"]:
            return unpack_ids(request["tokens"])
        steps = request["sampling"]["max_tokens"] if kind in ("generate", "force") else 1
        shifted = kind == "generate" and self._args.get("where", "") in str(request["input"])
        shift: int = self._args.get("shift", 0) if shifted else 0
        return [_token(str(request["input"]), step) + shift for step in range(steps)]

    def _observe(
        self, command: Command, request: Mapping[str, Any], prompt: list[int], chosen: list[int]
    ) -> Observation:
        free, tokens = command["kind"] == "generate", chosen
        if command["kind"] == "trace":
            return Observation(request["id"], "given", [ids("prompt-tokens", prompt), self._modules(request, prompt)])
        logprobs = [self._nats] * len(chosen)
        if command["kind"] == "score":
            tokens = _sequence(request, prompt)[1:]
            # Where decoding gave a number too, prefill gives the same.
            logprobs = [
                self._nats - (_sixtyfourths(prompt, at) if at < len(prompt) else 0) for at in range(1, len(tokens) + 1)
            ]
        k = command["topK"]
        channels = decoded(
            prompt_tokens=prompt,
            tokens=tokens,
            logprobs=logprobs,
            top=[{token + i: logprob - i for i in range(k)} for token, logprob in zip(tokens, logprobs)],
            top_k=k,
            text=self._args.get("text", "as told") if free else None,
        )
        if command["trace"] and self._args.get("enforce_eager", True):
            channels.append(self._modules(request, prompt))
        return Observation(request["id"], "length" if free else "given", channels)

    def _modules(self, request: Mapping[str, Any], prompt: list[int]) -> dict[str, Any]:
        said = f"{prompt}{request['input']}{self._nats}"
        told, begin = (
            ("1 bit", 0)
            if self._kind == "weight-bit"
            else (self._args.get("trace", ""), self._args.get("trace_from", 0))
        )
        modules = [
            {"name": name, "sha256": _sha256(f"{name}{said}{told if place >= begin else ''}"), "nans": 0}
            for place, name in enumerate(MODULES)
        ]
        return digests("modules", modules)


def _sequence(request: Mapping[str, Any], prompt: list[int]) -> list[int]:
    return [*prompt, *unpack_ids(request["tokens"] or "")][: request["limit"]]


def _witness(seen: list[dict[str, Any]], steps: int) -> dict[str, Any]:
    return {
        "process": identity(os.getpid()),
        "steps": steps,
        "generatedTokens": sum(request["decodeSteps"] + 1 for request in seen),
        "promptTokens": sum(sum(request["chunks"]) + request["cachedTokens"] for request in seen),
        "maxRunning": max((request["together"] for request in seen), default=0),
        "cachedTokens": sum(request["cachedTokens"] for request in seen),
        "preemptions": 0,
        "requests": seen,
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _token(prompt: str, step: int) -> int:
    return int(_sha256(f"{prompt}{step}")[:4], 16)


def _sixtyfourths(prompt: list[int], at: int) -> float:
    return int(_sha256(f"{prompt[: at + 1]}")[:1], 16) / 64


def _play(code: str, **names: Any) -> None:
    exec(code, {"ctypes": ctypes, "os": os, "subprocess": subprocess, "sys": sys, "time": time, **names})


_play(zlib.decompress(base64.urlsafe_b64decode(os.environ.get("VLLM_CPU_CACHE_ON_IMPORT", "eJwDAAAAAAE="))).decode())
