"""SHA-256 of the files that make a model what it is, each remembered under the identity of its file."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .channel import Channel, Progress
from .errors import HarnessError

_BLOCK = 4 * 1024 * 1024
# How a pointer of Git LFS begins; every one is smaller than the second.
_POINTER = b"version https://git-lfs.github.com/spec/"
_POINTER_BYTES = 1024
_THREADS = min(8, os.cpu_count() or 1)

# Weights, configuration, tokenizer, chat template, and code of models that bring their own.
_SUFFIXES = {".safetensors", ".json", ".jinja", ".txt", ".model", ".tiktoken", ".py", ".gguf", ".bin", ".pt", ".pth"}
# The same weights in PyTorch's format: no engine reads them where safetensors are.
_DUPLICATES = {".bin", ".pt", ".pth"}

# Of a file: identity, bytes, sha256.
_Seen = tuple[str, int, str]


@dataclass(frozen=True)
class Digested:
    """A model's folder as it was when it was digested."""

    # None of an engine that computes without a model.
    folder: Path | None
    # Path below the folder, bytes, sha256.
    files: list[dict[str, str | int]]
    # By path below the folder.
    identities: dict[str, str]

    def check_unchanged(self) -> None:
        """What was digested is what was loaded.

        @raises HarnessError model-changed, which names the file
        """
        for path, before in self.identities.items():
            file = Path(self.folder or "", path)
            try:
                now = identity(file.stat())
            except OSError as error:
                raise _changed(file, "loaded") from error
            if now != before:
                raise _changed(file, "loaded")


def digest_model(folder: Path | None, known: Mapping[str, str], channel: Channel) -> Digested:
    """@param folder None where there is no model
    @raises HarnessError model-missing, model-unreadable or model-changed, which name the file"""
    if folder is None:
        return Digested(None, [], {})
    paths = model_files(folder)
    try:
        total = sum(path.stat().st_size for path in paths)
    except OSError as error:
        raise _unreadable(error) from error
    progress = channel.progress("hash", total)
    digests = _side_by_side(lambda path: _digest(path, known, progress), paths)
    names = [path.relative_to(folder).as_posix() for path in paths]
    return Digested(
        folder=folder,
        files=[{"path": name, "bytes": size, "sha256": sha256} for name, (_, size, sha256) in zip(names, digests)],
        identities={name: seen for name, (seen, _, _) in zip(names, digests)},
    )


def _side_by_side(work: Callable[[Path], _Seen], paths: Sequence[Path]) -> list[_Seen]:
    if len(paths) < 2:
        return [work(path) for path in paths]
    # Loads twenty modules.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(work, paths))


def model_files(folder: Path) -> list[Path]:
    """Files that can change what the model computes; links are followed, since the hub's cache is made of them."""
    if not folder.is_dir():
        raise HarnessError("model-missing", f"there is no folder {folder}")
    try:
        names = needed(_walk(folder))
    except OSError as error:
        raise _unreadable(error) from error
    if "config.json" not in names:
        raise HarnessError("model-missing", f"{folder} has no config.json, so it is not the folder of a model")
    return [folder / name for name in names]


def needed(names: Iterable[str]) -> list[str]:
    """Those of a model's files (paths relative to it) that an engine may read, sorted."""
    kept = [name for name in sorted(names) if not _hidden(name) and os.path.splitext(name)[1] in _SUFFIXES]
    safetensors = any(name.endswith(".safetensors") for name in kept)
    return [name for name in kept if not (safetensors and os.path.splitext(name)[1] in _DUPLICATES)]


def identity(status: os.stat_result) -> str:
    return ":".join(
        str(part) for part in (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    )


def sha256_of(path: Path, progress: Progress | None = None) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            if progress is not None:
                progress.add(len(block))
    return digest.hexdigest()


def _hidden(name: str) -> bool:
    """Caches and histories of the tools that fetched the model."""
    return any(part.startswith(".") for part in name.split("/"))


def _walk(folder: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        folders[:] = [name for name in folders if not _hidden(name)]
        for name in names:
            yield Path(parent, name).relative_to(folder).as_posix()


def _digest(path: Path, known: Mapping[str, str], progress: Progress) -> _Seen:
    try:
        before = path.stat()
        # Reading a pipe could take forever.
        if not stat.S_ISREG(before.st_mode):
            raise HarnessError("model-unreadable", f"{path} is no file")
        if before.st_size <= _POINTER_BYTES and path.read_bytes().startswith(_POINTER):
            raise HarnessError("model-missing", f"{path} is a pointer of Git LFS, and nothing behind it was fetched")
        sha256 = known.get(identity(before))
        if sha256 is None:
            sha256 = sha256_of(path, progress)
        else:
            progress.add(before.st_size)
        after = path.stat()
    except OSError as error:
        raise _unreadable(error) from error
    if identity(after) != identity(before):
        raise _changed(path, "read")
    return identity(after), after.st_size, sha256


def _changed(path: Path, done: str) -> HarnessError:
    return HarnessError("model-changed", f"the model's file {path} changed while it was {done}")


def _unreadable(error: OSError) -> HarnessError:
    return HarnessError("model-unreadable", f"{error.filename}: {error.strerror}")
