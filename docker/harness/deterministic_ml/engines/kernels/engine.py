"""Probes that are asked by name, and what each of their cases gave."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ...harness.channel import Command, Progress
from ...harness.errors import HarnessError, explain
from ...harness.lifeline import identity
from ..common import pytorch, variables
from ..common.arguments import meant
from ..common.prompts import PromptsRefused
from ..observation import Digest, Observation, Pass, digests
from .arguments import Arguments, parse
from .bench import Bench, Case
from .inputs import Inputs
from .probes import PROBES


def load_engine(command: Command) -> Kernels:
    args, dropped = parse(command["args"], command["defaults"])
    if command["perturbation"] is not None:
        raise HarnessError("engine-rejected", "probes have no model whose weights or files could be changed")
    asked = command.get("prompts") or []
    refused = [{"id": one["id"], "message": why} for one in asked if (why := _refusal(one["input"]))]
    if refused:
        raise PromptsRefused(refused)
    try:
        pytorch.make_repeatable(args)
        return Kernels(args, dropped)
    except HarnessError:
        raise
    except Exception as error:
        raise explain(error) from error


def _refusal(content: Mapping[str, Any]) -> str | None:
    name = content.get("text")
    if name is None:
        return "a probe is asked by its name, as `text`"
    if name in PROBES:
        return None
    known = f": there are {', '.join(PROBES)}"
    return f"there is no probe of this name{meant(name, list(PROBES)) or known}"


class Kernels:
    perturbed: str | None = None

    def __init__(self, args: Arguments, dropped: list[str]) -> None:
        self.dropped = dropped
        self.process = identity(os.getpid())
        device = _device(args.device)
        dtypes = [getattr(torch, name) for name in args.dtypes]
        self.bench = Bench(device, dtypes, Inputs(args.seed), _ranks(args.ranks, device))
        with torch.inference_mode():
            # Each is looked at before anything is compared: what has no kernel here is known by now.
            self.cases = {
                name: [replace(case, name=f"{name} {case.name}") for case in probe(self.bench)]
                for name, probe in PROBES.items()
            }
        self.effective: dict[str, Any] = {
            "dtypes": ", ".join(args.dtypes),
            "device": str(self.bench.device),
            "ranks": self.bench.ranks,
            "cases": sum(map(len, self.cases.values())),
            "cases_left_out": "; ".join(sorted(self.bench.left_out))[:4096],
            "mkldnn": torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled,
            **pytorch.in_force(),
        }

    def run(self, command: Command, progress: Progress) -> Pass:
        seen = _Watch(self.process)
        if command["kind"] != "generate" or command["warm"]:
            what = "no cache" if command["warm"] else f"nothing to {command['kind']}"
            return Pass(seen.told(), unavailable=f"probes have {what}")
        requests = {request["id"]: request for request in command["requests"]}
        observations = []
        try:
            with torch.inference_mode():
                for group in command["groups"]:
                    asked = [requests[name] for name in group if requests[name]["observed"]]
                    # Neighbours of ours bring rows into the calls of a probe; other probes are other calls.
                    neighbours = [name for name in group if not requests[name]["observed"]]
                    for request in asked:
                        cases = self.cases[request["input"]["text"]]
                        observations.append(Observation(request["id"], "unknown", [self._ask(cases, len(neighbours))]))
                        seen.add([request["id"], *neighbours], len(cases))
                        progress.set(len(seen.requests))
        except Exception as error:
            raise explain(error) from error
        return Pass(seen.told(), {}, observations)

    def _ask(self, cases: Sequence[Case], neighbours: int) -> Mapping[str, Any]:
        return digests("modules", [digest_of(case, case.call(case.rows + neighbours * case.beside)) for case in cases])

    def vocabulary(self, ids: Sequence[int]) -> dict[int, str]:
        return {}

    def variables(self, names: Sequence[str]) -> list[Mapping[str, str]]:
        return [variables.here(names)]

    def close(self) -> None:
        """Its memory goes with the process."""


def _device(asked: str) -> torch.device:
    """@raises HarnessError `engine-rejected`, and `gpu-unavailable` or `engine-out-of-memory` by their names"""
    try:
        device = torch.device(pytorch.device_of(asked))
        torch.zeros(1, device=device)
        return device
    except (RuntimeError, AssertionError) as error:
        known = explain(error)
        if known.code != "engine-failed":
            raise known from error
        raise HarnessError("engine-rejected", f"device: {error}") from error


def _ranks(asked: int, device: torch.device) -> int:
    if device.type != "cuda":
        return max(1, asked)
    seen = torch.cuda.device_count()
    if asked > seen:
        raise HarnessError("engine-rejected", f"ranks: {asked} are asked for, and {seen} GPUs can be seen")
    # A device of its own by its number: the others have no part in it.
    return (asked or seen) if device.index is None else 1


def digest_of(case: Case, output: torch.Tensor) -> Digest:
    """Of the case's own rows alone."""
    own = output[: case.rows].cpu().contiguous()
    data = own.flatten().view(torch.uint8).numpy()
    return {"name": case.name, "sha256": hashlib.sha256(data).hexdigest(), "nans": int(own.isnan().sum())}


class _Watch:
    """What was really called. A request's `together` counts those whose rows were in its calls."""

    def __init__(self, process: str) -> None:
        self.process = process
        self.calls = 0
        self.requests: list[dict[str, Any]] = []

    def add(self, together: Sequence[str], calls: int) -> None:
        self.calls += calls
        for name in together:
            self.requests.append(
                {
                    "id": name,
                    "order": len(self.requests),
                    "together": len(together),
                    "chunks": [],
                    "decodeSteps": 0,
                    "cachedTokens": 0,
                }
            )

    def told(self) -> dict[str, Any]:
        """`Witness` of the protocol. There are no tokens: its steps are its calls."""
        return {
            "process": self.process,
            "steps": self.calls,
            "generatedTokens": None,
            "promptTokens": None,
            "maxRunning": max((one["together"] for one in self.requests), default=0),
            "cachedTokens": 0,
            "preemptions": 0,
            "requests": self.requests,
        }
