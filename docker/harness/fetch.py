"""Fetches a model of the hub on the far side of a launcher, into a folder that outlives the run.

The host runs this there as far.py's program, and writes one line of JSON to it: a mark, where the hub is, and the files
with what each must be, by the hub's own list (src/runtime/launcher/fetch.ts). It answers on stdout, each time behind
the mark, with how many bytes have come, and at last with the folder or with what went wrong. There is no token here:
what the hub gives to nobody without one, somebody has to put there.
"""

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO

_TRIES = 5
_SILENCE_SECONDS = 60
_BLOCK = 1024 * 1024
_DAY_SECONDS = 24 * 60 * 60

_File = Mapping[str, str | int]
_Progress = Callable[[int], None]


class _Failed(Exception):
    pass


def main() -> None:
    asked = json.loads(sys.stdin.readline())

    def tell(what: str, value: object) -> None:
        print(asked["mark"], json.dumps({what: value}), flush=True)

    try:
        tell("folder", fetched(asked, lambda done: tell("done", done)))
    except _Failed as failed:
        tell("error", str(failed))
    except OSError as error:
        tell("error", f"{error.strerror or error} ({error.filename})" if error.filename else str(error))


def fetched(asked: Mapping[str, object], progress: _Progress) -> str:
    """The model's folder: all of it is there, or nothing is."""
    name, revision = str(asked["id"]).replace("/", "--"), str(asked["revision"])
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    above = os.path.join(caches, "deterministic-ml", "models", name)
    folder = os.path.join(above, revision)
    files = asked["files"]
    assert isinstance(files, list)
    if is_whole(folder, files):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(above, exist_ok=True)
    sweep(above)
    # Nodes that share a home may fetch at once: the first rename wins, and all have the same files.
    partial = tempfile.mkdtemp(prefix=f"{revision}.partial-", dir=above)
    try:
        done = 0
        for file in files:
            path = os.path.join(partial, str(file["path"]))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            done += fetch(asked, file, path, done, progress)
        with contextlib.suppress(OSError):
            os.rename(partial, folder)
        if not is_whole(folder, files):
            raise _Failed(f"{folder} could not be put in its place")
        return folder
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_whole(folder: str, files: Sequence[_File]) -> bool:
    """By sizes: what the content is, the harness digests at each start."""
    paths = [(os.path.join(folder, str(file["path"])), file["bytes"]) for file in files]
    return all(os.path.isfile(path) and os.path.getsize(path) == size for path, size in paths)


def sweep(above: str) -> None:
    """Removes what runs left that were killed."""
    for entry in os.scandir(above):
        if ".partial-" in entry.name and time.time() - entry.stat().st_mtime > _DAY_SECONDS:
            shutil.rmtree(entry.path, ignore_errors=True)


def fetch(asked: Mapping[str, object], file: _File, path: str, before: int, progress: _Progress) -> int:
    """One file, gone on with after an interruption, and what the hub's list says. Its size in bytes."""
    name, size = str(file["path"]), int(file["bytes"])
    url = f"{asked['base']}{asked['id']}/resolve/{asked['revision']}/{urllib.parse.quote(name)}"
    with open(path, "wb") as out:
        for attempt in range(_TRIES):
            if attempt > 0:
                time.sleep(2 ** (attempt - 1))
            try:
                read(url, out, size, lambda have: progress(before + have))
                why = "it broke off"
            except urllib.error.HTTPError as error:
                if error.code not in (408, 429) and error.code < 500:
                    raise _Failed(f"without a token the hub gives no {name} ({error.code})") from None
                why = f"the hub answered {error.code}"
            except (OSError, http.client.HTTPException) as error:
                why = str(error)
            if out.tell() >= size:
                break
        else:
            raise _Failed(f"{name} did not come whole in {_TRIES} tries: {why}")
    if digest(path, str(file["kind"]), size) != file["hex"]:
        raise _Failed(f"{name} is not what the hub says that it is")
    return size


def read(url: str, out: BinaryIO, size: int, progress: _Progress) -> None:
    have = out.tell()
    headers = {"User-Agent": "deterministic-ml", **({"Range": f"bytes={have}-"} if have > 0 else {})}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_SILENCE_SECONDS) as response:
        # A server that knows no ranges begins anew.
        if response.status != 206:
            out.seek(0)
            out.truncate()
        while block := response.read(_BLOCK):
            out.write(block)
            progress(out.tell())
            if out.tell() > size:
                raise _Failed(f"more than {size} bytes came from {url}")


def digest(path: str, kind: str, size: int) -> str:
    """SHA-256 of a large file; of a small one the id of its git blob."""
    sum_ = hashlib.sha256() if kind == "sha256" else hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            sum_.update(block)
    return sum_.hexdigest()


if __name__ == "__main__":
    main()
