"""What nvidia-smi may print, turned over at random: `python3 fuzz_smi.py INPUTS SEED` tells how that went."""

from __future__ import annotations

import json
import random
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import support  # noqa: F401
from captures import CAPTURES, Capture, read

# As test/unit/support/fuzz.ts has it.
FIRST_SEED = 20261128

TOKENS = (
    *(
        "",
        "\0",
        "\n",
        "<",
        ">",
        "&",
        '"',
        "]]>",
        "<![CDATA[",
        "<!ENTITY a 'b'>",
        "&a;",
        "<gpu>",
        "</gpu>",
        "<gpu id='x'>",
    ),
    *(
        "N/A",
        "-1",
        "1e999",
        "²",
        "٣",
        "9" * 5000,
        "nan",
        "0x10",
        "\u202e",
        "\ud83d",
        "\x1b[2J",
        "::error::x",
        "GPU is lost",
    ),
    *("a" * 100_000, "<a>" * 30_000, "<processes><process_info><pid>1</pid></process_info></processes>" * 100),
)


@dataclass
class Fuzzed:
    inputs: int
    seconds: float = 0.0
    slowest: float = 0.0
    states: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)


def fuzz(inputs: int, seed: int) -> Fuzzed:
    """Each is a reading with a state; whatever is raised is a crash."""
    chance = random.Random(seed)
    captures = [one for one in CAPTURES.values() if one.xml]
    found = Fuzzed(inputs)
    began = time.monotonic()
    for _ in range(inputs):
        capture = _turned(chance.choice(captures), chance)
        start = time.monotonic()
        try:
            told = read(capture)
            # What is sent must be JSON in UTF-8.
            json.dumps(told).encode()
            found.states[told["state"]] += 1
        except Exception:
            found.crashes.append(traceback.format_exc())
        found.slowest = max(found.slowest, time.monotonic() - start)
    found.seconds = time.monotonic() - began
    return found


def _turned(capture: Capture, chance: random.Random) -> Capture:
    xml, csv = capture.xml or "", capture.csv
    for _ in range(chance.randint(1, 4)):
        xml = _changed(xml, chance)
    if chance.random() < 0.3:
        csv = _changed(f"{chance.choice(TOKENS)}, {chance.choice(TOKENS)}\n{csv}", chance)
    logged = (
        f"NVRM: Xid (PCI:0000:00:06): {chance.choice(TOKENS)[:200]}, {chance.choice(('79', '²', '9' * 5000, ''))}, x"
    )
    log = [(chance.uniform(0, 2000), _changed(logged, chance))] if chance.random() < 0.3 else capture.log
    code = chance.choice((0, 0, 0, 1, 9, 14, 15, 255, -9, None))
    return Capture("turned", xml, code, _changed("x", chance), csv, log=log, after=capture.after, torch=capture.torch)


def _changed(text: str, chance: random.Random) -> str:
    at = chance.randint(0, len(text))
    kind = chance.randrange(6)
    if kind == 0:
        return text[:at] + chr(chance.randrange(0x20, 0x2FF)) + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at + chance.randint(1, 64) :]
    if kind == 2:
        return text[:at] + chance.choice(TOKENS) + text[at:]
    if kind == 3:
        return text[:at]
    # What stands between two marks: most of what is read.
    begin = text.find(">", at) + 1
    end = text.find("<", begin)
    if begin == 0 or end < 0:
        return text[:at] + chance.choice(TOKENS) + text[at:]
    if kind == 4:
        return text[:begin] + chance.choice(TOKENS) + text[end:]
    return text[:begin] + text[begin:end] * 3 + text[end:]


def main() -> None:
    inputs, seed = int(sys.argv[1]), int(sys.argv[2])
    found = fuzz(inputs, seed)
    told: dict[str, Any] = {
        "inputs": found.inputs,
        "seconds": round(found.seconds, 3),
        "slowestMs": round(found.slowest * 1000, 1),
        "states": dict(sorted(found.states.items())),
        "crashes": found.crashes[:10],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
