"""Records of what a user's own program computed, in the files that `src/record/` reads.

Such a record has `source: imported` and an engine called `script`: no harness saw how its numbers came about. Each
named tensor, number or text is asked for as a prompt is, so that what has the same name in two records is compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..harness.software import Software
from ..seeding import asked
from .canonical import canonical, digest
from .channels import Channel, channels_of, read_body
from .emitter import Emitter
from .knobs import in_force
from .surroundings import fingerprint, hardware_class, recorded

SCHEMA = "deterministic-ml/record/v2"
_LIFETIME, _PASS = "lifetime-1", "generate-untold"
# As a suite may name its prompts.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
# What a record's folder may hold.
_OWN = {"record.json", "baseline.json", "bodies"}


def record(
    folder: str | os.PathLike[str],
    *,
    name: str,
    tensors: Mapping[str, Any] | None = None,
    numbers: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    inputs: Mapping[str, Any] | None = None,
    emitted: Emitter | None = None,
) -> str:
    """Writes a record of what a program computed, whole or not at all, over an older one.

    :param folder: of its own; made where it is not there
    :param name: of the program: only what programs of one name computed is compared
    :param tensors: PyTorch's, NumPy's, or what NumPy makes arrays of; dtype, shape and bits count, the device does not
    :param numbers: each one, or a list
    :param inputs: what the program was asked, as JSON values: records of other inputs are not compared
    :param emitted: what the program emitted, as a function of a suite's `script` does; it is closed by this
    :returns: the digest of what was computed: equal digests, equal bits
    :raises ValueError: for names that no record can have, for nothing to record, for a folder that holds something else
    :raises TypeError: for what is no tensor, number or text
    """
    channels = channels_of(tensors, numbers, texts)
    if emitted is not None and emitted.fault is not None:
        raise emitted.fault
    for result, channel in (emitted.close() if emitted is not None else {}).items():
        if result in channels:
            raise ValueError(f"`{result}` is named twice")
        channels[result] = channel
    computed = Computed.of(name, inputs, channels)
    return write(Path(folder), computed, fingerprint(), Software().told())


@dataclass(frozen=True)
class Computed:
    """What a program of a name gave, by the names of its results."""

    program: str
    # What was asked for each result; of equal digests the results can be compared.
    inputs: Mapping[str, str]
    channels: Mapping[str, Channel]

    @staticmethod
    def of(program: str, inputs: Mapping[str, Any] | None, channels: Mapping[str, Channel]) -> Computed:
        _named("program", program)
        if not channels:
            raise ValueError("there is nothing to record: name a tensor, a number or a text")
        for name in channels:
            _named("result", name)
        base = {"script": program, "inputs": dict(inputs or {})}
        return Computed(program, {name: digest({**base, "result": name}) for name in channels}, channels)

    def packed(self) -> bytes:
        """What a pass gave, as its file holds it."""
        return canonical(
            [
                {
                    "prompt": name,
                    "input": self.inputs[name],
                    "finishReason": "unknown",
                    "channels": [self.channels[name].described()],
                    "body": _sha256(self.channels[name].body()),
                }
                for name in sorted(self.channels)
            ]
        )


def write(folder: Path, computed: Computed, surroundings: Mapping[str, Any], software: Mapping[str, Any] | None) -> str:
    """@param surroundings what `fingerprint` told @param software None where nobody looked"""
    given = computed.packed()
    vocabulary = b"{}"
    bodies = [given, vocabulary, *(channel.body() for channel in computed.channels.values())]
    head = _head(computed, surroundings, _sha256(given), _sha256(vocabulary))
    if software is not None:
        bodies.append(canonical(software))
        head["lifetimes"][0]["software"] = _sha256(bodies[-1])
    text = json.dumps(head, ensure_ascii=False, indent=2) + "\n"
    _refuse_foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.partial-{secrets.token_hex(4)}")
    try:
        (partial / "bodies").mkdir(parents=True)
        for body in bodies:
            _keep(partial / "bodies" / _sha256(body), body)
        # Last: a record is whole or absent.
        _keep(partial / "record.json", text.encode())
        _replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return str(head["digest"])


def _head(computed: Computed, surroundings: Mapping[str, Any], given: str, vocabulary: str) -> dict[str, Any]:
    prompts = [{"id": name, "input": computed.inputs[name], "sampling": None} for name in computed.channels]
    passes = [
        {
            "pass": _PASS,
            "kind": "generate",
            "arrangement": "untold",
            "groups": [list(computed.channels)],
            "seconds": 0,
            "unavailable": None,
            # Nobody watched: no relation within the record is exercised by it.
            "witness": {
                "process": "unknown",
                **dict.fromkeys(
                    (
                        "steps",
                        "generatedTokens",
                        "promptTokens",
                        "maxRunning",
                        "cachedTokens",
                        "preemptions",
                        "requests",
                    )
                ),
            },
            "sampling": {},
            "digest": given,
        }
    ]
    lifetime_digest = digest([[_PASS, "generate", "untold", given]])
    return {
        "schema": SCHEMA,
        "tool": _version(),
        "createdAt": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "suite": {
            "name": computed.program,
            "digest": digest({"suite": computed.program, "prompts": prompts}),
            "prompts": prompts,
            "texts": [],
        },
        "known": [],
        "fingerprint": recorded(surroundings),
        "hardwareClass": hardware_class(surroundings),
        "source": "imported",
        "health": {"state": "not-told", "reasons": []},
        "lifetimes": [
            {
                "lifetime": _LIFETIME,
                "loadSeconds": 0,
                "settings": _settings(),
                "perturbed": None,
                "passes": passes,
                "digest": lifetime_digest,
            }
        ],
        "digest": digest([[_LIFETIME, lifetime_digest]]),
        "vocabulary": vocabulary,
    }


def _settings() -> dict[str, Any]:
    """The knobs of this process: what was asked for, and what is in force."""
    return {
        "requested": {name: wanted.value for name, wanted in sorted(asked.items())},
        "dropped": [],
        "effective": {knob.name: knob.value for knob in in_force().knobs},
    }


class Damaged(Exception):
    """A folder that holds no whole record of a script."""


@dataclass(frozen=True)
class Stored:
    """A record of a script, each digest of it checked."""

    digest: str
    program: str
    fingerprint: Mapping[str, Any]
    # By name: what was asked, and what came of it.
    results: Mapping[str, tuple[str, Channel]]


def read(folder: Path) -> Stored | None:
    """None where there is no record. @raises Damaged for anything but a whole one that `record` wrote"""
    try:
        text = (folder / "record.json").read_bytes()
    except FileNotFoundError:
        return None

    def body(name: str) -> bytes:
        if not re.fullmatch("[0-9a-f]{64}", name):
            raise ValueError(f"names a body {name!r}")
        data = (folder / "bodies" / name).read_bytes()
        if _sha256(data) != name:
            raise ValueError(f"has a body {name} of other bytes than its name says")
        return data

    try:
        head = json.loads(text)
        if head["schema"] != SCHEMA or head["fingerprint"]["declared"]["engine"]["name"] != "script":
            raise ValueError("is of another schema, or of no script")
        (lifetime,) = head["lifetimes"]
        (one,) = lifetime["passes"]
        given = one["digest"]
        lifetime_digest = digest([[one["pass"], one["kind"], one["arrangement"], given]])
        if head["digest"] != digest([[lifetime["lifetime"], lifetime_digest]]):
            raise ValueError("has another digest than its pass gives")
        results = {}
        for told in json.loads(body(given)):
            channel = read_body(body(told["body"]))
            if told["channels"] != [channel.described()]:
                raise ValueError(f"says other of `{told['prompt']}` than its body holds")
            results[told["prompt"]] = (told["input"], channel)
        return Stored(head["digest"], head["suite"]["name"], head["fingerprint"], results)
    except (OSError, KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"the record in {folder} cannot be read: {error!r}") from error
    except ValueError as error:
        raise Damaged(f"the record in {folder} {error}") from error


def _named(what: str, name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"a {what} cannot be called {name!r}: at most 64 letters, digits, `.`, `_`, `-`, the first and the last a "
            "letter or a digit"
        )


def _version() -> str:
    try:
        return importlib.metadata.version("deterministic-ml")[:64]
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _keep(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        # The rename must not reach the disk before the bytes do.
        os.fsync(file.fileno())


def _refuse_foreign(folder: Path) -> None:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    foreign = sorted(set(names) - _OWN)
    if foreign:
        raise ValueError(f"{folder} holds `{foreign[0]}`, which is no part of a record: name a folder of its own")


def _replace(fresh: Path, place: Path) -> None:
    old = place.with_name(f"{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        place.rename(old)
    fresh.rename(place)
    shutil.rmtree(old, ignore_errors=True)
