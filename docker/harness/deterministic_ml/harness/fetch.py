"""Fetches a model from the hub, before the engine runs and without a GPU: whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .channel import Channel, Progress
from .digests import needed, sha256_of
from .errors import HarnessError, explain

_PARTIAL = ".partial"
_MARKER = ".deterministic-ml.json"
# Enough to fill a line, few enough for the hub's rate limits.
_DOWNLOADS = 4


@dataclass(frozen=True)
class Wanted:
    """A file as the hub describes it."""

    path: str
    size: int
    # Of a large file its SHA-256, of any other the id of its git blob.
    sha256: str | None
    blob: str


def fetch_model(model: str, revision: str, folder: Path, channel: Channel) -> None:
    """Leaves exactly the revision's files in `folder`, readable for everybody.

    What has been fetched of an interrupted attempt lies in `.partial` and is not fetched again.

    @raises HarnessError model-fetch-failed, which names the file where it is one; disk-full
    """
    try:
        if _complete(folder, model, revision):
            return
        wanted = _list(model, revision)
        total = sum(file.size for file in wanted)
        partial = folder / _PARTIAL
        _discard_leftovers(partial)
        _check_space(partial, wanted)
        with _Watch(partial, channel.progress("fetch", total)), ThreadPoolExecutor(_DOWNLOADS) as pool:
            # As a list, so that a download's exception comes out here.
            list(pool.map(lambda file: _download(model, revision, file, partial), wanted))
        _verify(wanted, partial, channel.progress("hash", total))
        _put_in_place(wanted, folder, model, revision)
    except Exception as error:
        known = explain(error, otherwise="model-fetch-failed")
        if known is error:
            raise
        message = " ".join(known.message.split())
        raise HarnessError(known.code, f"{model} at {revision}: {message}") from error


def _list(model: str, revision: str) -> list[Wanted]:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise HarnessError("model-fetch-failed", "the Python here has no package `huggingface_hub`") from error

    info = HfApi().model_info(model, revision=revision, files_metadata=True)
    if info.sha != revision:
        # The hub resolves branches and tags too; only the commit itself cannot move.
        raise HarnessError("model-fetch-failed", f"{model}: the hub answered with commit {info.sha}, not {revision}")
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or []}
    wanted = [_wanted(siblings[path]) for path in needed(siblings)]
    if not any(file.path == "config.json" for file in wanted):
        raise HarnessError("model-fetch-failed", f"{model} at {revision} has no config.json")
    return wanted


def _wanted(sibling: Any) -> Wanted:
    path = PurePosixPath(sibling.rfilename)
    if path.is_absolute() or ".." in path.parts:
        raise HarnessError("model-fetch-failed", f"the hub named a file outside of the model: {sibling.rfilename!r}")
    if sibling.size is None or sibling.blob_id is None:
        raise HarnessError("model-fetch-failed", f"{path}: the hub told no size and digest to verify it by")
    return Wanted(str(path), sibling.size, sibling.lfs.sha256 if sibling.lfs else None, sibling.blob_id)


def _download(model: str, revision: str, file: Wanted, partial: Path) -> None:
    """The hub's own client: redirects, retries, byte ranges after a broken connection, Xet storage."""
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(model, file.path, revision=revision, local_dir=partial)
    except Exception as error:
        known = explain(error, otherwise="model-fetch-failed")
        raise HarnessError(
            known.code, f"{model} at {revision}: {file.path}: {' '.join(known.message.split())}"
        ) from error


def _verify(wanted: list[Wanted], partial: Path, progress: Progress) -> None:
    corrupted = [file.path for file in wanted if not _is_right(file, partial / file.path, progress)]
    for path in corrupted:
        # Else the next attempt would take it for fetched.
        (partial / path).unlink()
    if corrupted:
        raise HarnessError(
            "model-fetch-failed",
            f"{', '.join(corrupted)} arrived corrupted: not what the hub says they are. Deleted, the rest is kept.",
        )


def _is_right(file: Wanted, path: Path, progress: Progress) -> bool:
    if file.sha256 is not None:
        return sha256_of(path, progress) == file.sha256
    return _git_blob(path) == file.blob


def _git_blob(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _put_in_place(wanted: list[Wanted], folder: Path, model: str, revision: str) -> None:
    """The marker goes first and comes back last: a folder is complete with it, or not at all."""
    old = _marker(folder)
    (folder / _MARKER).unlink(missing_ok=True)
    for path in old.get("files", {}):
        # A file that only another revision had would change the model.
        (folder / path).unlink(missing_ok=True)
    for file in wanted:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder / _PARTIAL / file.path, target)
        # The engine runs as another user.
        target.chmod(0o644)
        for parent in target.relative_to(folder).parents:
            (folder / parent).chmod(0o755)
    shutil.rmtree(folder / _PARTIAL)
    marker = {"model": model, "revision": revision, "files": {file.path: file.size for file in wanted}}
    unfinished = folder / f"{_MARKER}.tmp"
    unfinished.write_text(json.dumps(marker, indent=2))
    unfinished.chmod(0o644)
    os.replace(unfinished, folder / _MARKER)


def _complete(folder: Path, model: str, revision: str) -> bool:
    marker = _marker(folder)
    if (marker.get("model"), marker.get("revision")) != (model, revision):
        return False
    return all(_size(folder / path) == size for path, size in marker["files"].items())


def _marker(folder: Path) -> dict[str, Any]:
    try:
        marker: dict[str, Any] = json.loads((folder / _MARKER).read_text())
    except (OSError, ValueError):
        return {}
    return marker


def _discard_leftovers(partial: Path) -> None:
    """Names of the client's unfinished files are unique to a process, so nothing would ever use them again."""
    partial.mkdir(parents=True, exist_ok=True)
    for path in partial.rglob("*.incomplete"):
        path.unlink()


def _check_space(partial: Path, wanted: list[Wanted]) -> None:
    missing = sum(file.size for file in wanted if _size(partial / file.path) != file.size)
    free = shutil.disk_usage(partial).free
    if missing > free:
        raise HarnessError("disk-full", f"the model needs {missing} bytes more, and {partial.parent} has {free} free")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


class _Watch:
    """Reports how much has arrived, by looking at the disk: whatever protocol the client chose."""

    def __init__(self, partial: Path, progress: Progress) -> None:
        self._partial = partial
        self._progress = progress
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        arrived = -1
        while True:
            over = self._over.wait(0.5)
            now = sum(_size(path) or 0 for path in self._partial.rglob("*"))
            # Silence when nothing arrives: the host may then call it hung.
            if now != arrived:
                arrived = now
                self._progress.set(now)
            if over:
                return
