"""What an H100 and an H200 computed, side by side: `python3 compare.py h100-eager.tar.gz runs.tar.gz`.

The H100's records are of version 1 and the H200's of version 2, so that their packed bodies are read here, bit for bit.
"""

from __future__ import annotations

import json
import struct
import sys
import tarfile
from typing import Any


def version1(body: bytes) -> dict[str, bytes]:
    prompt, steps, k, _ = struct.unpack_from("<4I", body, 8)
    sizes = {"prompt": prompt, "tokens": steps, "logprobs": steps, "ids": steps * k, "nats": steps * k}
    found, at = {}, 24
    for name, size in sizes.items():
        found[name] = body[at : at + 4 * size]
        at += 4 * size
    return found


def version2(body: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    at = 12
    for _ in range(struct.unpack_from("<I", body, 8)[0]):
        _, _, name_size, size = struct.unpack_from("<4I", body, at)
        at += 16
        name = body[at : at + name_size].decode()
        at += -(-name_size // 4) * 4
        found[name] = body[at : at + size]
        at += -(-size // 4) * 4
    half = len(found["top-k"]) // 2
    return {**found, "ids": found["top-k"][:half], "nats": found["top-k"][half:]}


def files(archive: str) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}  # type: ignore[union-attr]


def main(h100: str, h200: str) -> None:
    old, new = files(h100), files(h200)
    left: dict[tuple[str, str], Any] = {
        (one["pass"], one["prompt"]): one
        for one in json.loads(old["baseline/record.json"])["observations"]
        if one["lifetime"] == "lifetime-1"
    }
    record = json.loads(new["eager-onebit/baseline/record.json"])
    for done in record["lifetimes"][0]["passes"]:
        told = json.loads(new[f"eager-onebit/baseline/bodies/{done['digest']}"])
        for one in told:
            key = (done["pass"], one["prompt"])
            if key not in left:
                continue
            a = version1(old[f"baseline/bodies/{left[key]['body']}"])
            b = version2(new[f"eager-onebit/baseline/bodies/{one['body']}"])
            steps = min(len(a["tokens"]), len(b["tokens"])) // 4
            k = len(b["ids"]) // len(b["tokens"])
            size = {"tokens": 4, "logprobs": 4, "ids": 4 * k, "nats": 4 * k}
            same = [name for name, bytes_ in size.items() if a[name][: steps * bytes_] == b[name][: steps * bytes_]]
            print(f"{key[0]:16} {key[1]:8} {steps:4} steps, same bits: {', '.join(same)}")


main(*sys.argv[1:])
