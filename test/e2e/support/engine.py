"""An engine that does what a test tells it: in their copy of the action, the tests put it in place of engines/vllm.py.

`engine.args` of the suite hold Python: `on_load` runs as the engine loads, `on_step` at each token, `on_close` at the
end; ON_IMPORT of `engine.env` runs first of all. `text`, `logprob`, `dropped` and `effective` are what it claims.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..harness.channel import Command, Progress
from ..harness.lifeline import identity
from .observation import Observation, Pass

NAME = "vllm"
# Any package that every Python has.
PACKAGE = "json"
DISTRIBUTIONS: Sequence[str] = ()


def load(model: str, args: Mapping[str, Any], defaults: Sequence[str]) -> Scripted:
    _play(args.get("on_load", ""))
    return Scripted(args)


class Scripted:
    def __init__(self, args: Mapping[str, Any]) -> None:
        self._args = args
        self.dropped: list[str] = list(args.get("dropped", []))
        self.effective: dict[str, Any] = dict(args.get("effective", {}))

    def generate(self, command: Command, progress: Progress) -> Pass:
        prompts = {prompt["id"]: prompt for prompt in command["prompts"]}
        observations: list[Observation] = []
        tokens = 0
        for prompt_id in (prompt_id for group in command["groups"] for prompt_id in group):
            chosen = [_token(str(prompts[prompt_id]), step) for step in range(command["sampling"]["max_tokens"])]
            for step in range(len(chosen)):
                _play(self._args.get("on_step", ""), step=step)
                tokens += 1
                progress.set(len(observations), tokens)
            observations.append(
                Observation(
                    prompt=prompt_id,
                    finish_reason="length",
                    text=self._args.get("text", "as told"),
                    prompt_tokens=[1, 2, 3],
                    tokens=chosen,
                    logprobs=[self._args.get("logprob", -0.25)] * len(chosen),
                    top=[{token + k: -0.25 - k for k in range(command["topK"])} for token in chosen],
                )
            )
        witness = {
            "process": identity(os.getpid()),
            "steps": tokens,
            "generatedTokens": tokens,
            "promptTokens": 3 * len(observations),
            "maxRunning": 1,
            "cachedTokens": 0,
            "preemptions": 0,
        }
        return Pass(observations, witness, dict(command["sampling"]))

    def close(self) -> None:
        _play(self._args.get("on_close", ""))


def _token(prompt: str, step: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{prompt}{step}".encode()).digest()[:2], "big")


def _play(code: str, **names: Any) -> None:
    exec(code, {"ctypes": ctypes, "os": os, "subprocess": subprocess, "sys": sys, "time": time, **names})


_play(os.environ.get("ON_IMPORT", ""))
