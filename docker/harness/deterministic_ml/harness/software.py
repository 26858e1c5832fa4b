"""Every package that is installed, and every shared object that the engine's processes loaded (Software in the schema).

They choose no baseline and decide nothing: a reader finds in them what a drift came with. So all of it is cheap, and
what cannot be read is left out or `unread`, never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from .lifeline import descendants

Versions = dict[str, str]

MAX_ENTRIES = 10_000
MAX_NAME = 256
MAX_VERSION = 160

# A debug build has notes of some kilobytes; a hostile file may claim any size.
_MAX_NOTES = 1 << 16
# Larger ones are digested in part: a GPU's libraries have 2 GB and more, and many of them no build id.
_WHOLE = 16 << 20
_PART = 1 << 18
_PARTS = 16
_RPM_SECONDS = 20

_DPKG_FIELD = re.compile(r"\n(Package|Status|Version|Architecture|Multi-Arch): (.*)")
_ODD = re.compile(r"[^\x21-\x7e]")
_PACKAGE_FOLDER = re.compile(r".*/(?:site|dist)-packages/")


class Software:
    """Lists the packages in the background, while a fingerprint waits for other things."""

    def __init__(self) -> None:
        self._packages: dict[str, Versions] = {}
        self._listing = threading.Thread(target=self._list, name="packages", daemon=True)
        self._listing.start()

    def told(self) -> dict[str, Versions]:
        """With the shared objects that this process and its descendants have loaded by now."""
        self._listing.join(_RPM_SECONDS)
        return {**self._packages, "objects": objects((os.getpid(), *descendants(os.getpid())), tempfile.gettempdir())}

    def _list(self) -> None:
        packages = {"python": distributions(sys.path), **system_packages(Path("/"))}
        self._packages = {manager: found for manager, found in packages.items() if found}


def distributions(path: Iterable[str]) -> Versions:
    """What Python would import, the first of a name: by the names of their metadata's folders, as importlib finds them.

    Asking importlib for each name opens and parses all of them: 0.3 s for 150.
    """
    found: Versions = {}
    for folder in path:
        with contextlib.suppress(OSError):
            for entry in sorted(os.listdir(folder or ".")):
                stem, ending = os.path.splitext(entry)
                if ending in (".dist-info", ".egg-info"):
                    name, _, rest = stem.partition("-")
                    found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), rest.partition("-py")[0] or "unknown")
    return _inert(found)


def system_packages(root: Path) -> dict[str, Versions]:
    """By the manager that keeps them. Files where there are some: asking a program takes longer."""
    dpkg = root / "var/lib/dpkg"
    # Images without a shell have a file for each package.
    files = [dpkg / "status", *_listed(dpkg / "status.d")]
    found = {"dpkg": _inert(dict(pair for file in files for pair in _dpkg(_text(file))))}
    found["apk"] = _inert(dict(_apk(_text(root / "lib/apk/db/installed"))))
    if any((root / place).is_dir() for place in ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")):
        found["rpm"] = _inert(dict(_rpm()))
    return found


def _dpkg(text: str) -> Iterator[tuple[str, str]]:
    for block in text.split("\n\n"):
        # By the break before a field, which is quickly found: in half the time.
        fields = dict(_DPKG_FIELD.findall(f"\n{block}"))
        if "Package" in fields and fields.get("Status", "ok installed").endswith(" installed"):
            # Of these there may be one for each architecture.
            same = fields.get("Multi-Arch") == "same"
            name = f"{fields['Package']}:{fields.get('Architecture', '')}" if same else fields["Package"]
            yield name, fields.get("Version", "unknown")


def _apk(text: str) -> Iterator[tuple[str, str]]:
    for block in text.split("\n\n"):
        fields = dict(re.findall(r"^([PV]):(.*)$", block, re.MULTILINE))
        if "P" in fields:
            yield fields["P"], fields.get("V", "unknown")


def _rpm() -> Iterator[tuple[str, str]]:
    query = ["rpm", "-qa", "--qf", r"%{NAME}.%{ARCH}\t%{EVR}\n"]
    try:
        told = subprocess.run(query, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_RPM_SECONDS)
    except (OSError, ValueError, subprocess.SubprocessError):
        return
    for line in told.stdout.splitlines():
        name, _, version = line.partition("\t")
        if version:
            yield name, version


def objects(processes: Iterable[int], private: str) -> Versions:
    """Name of each shared object -> what tells it from another of that name.

    @param private folder of this run: what was compiled into it is another file each time
    """
    paths: set[str] = set()
    for process in processes:
        # A process that has ended meanwhile, or is another user's.
        with contextlib.suppress(OSError):
            paths |= _mapped(Path(f"/proc/{process}/maps").read_text(errors="surrogateescape"))
    own = os.path.join(os.path.realpath(private), "")
    ours = sorted(path for path in paths if not path.startswith(own))
    # A Python may lie anywhere, and what it has is the same.
    return _inert({_PACKAGE_FOLDER.sub("", path): identity_of(path) for path in ours})


def _mapped(maps: str) -> set[str]:
    """Files of which something is mapped to be run."""
    found = set()
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and "x" in fields[1] and fields[5].startswith("/") and not fields[5].startswith("/memfd:"):
            found.add(fields[5])
    return found


def identity_of(path: str) -> str:
    """The build id that its linker gave it, else a digest of its bytes."""
    try:
        # Not to be held up by what a hostile image put into the place of a file.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb", buffering=0) as file:
            # What its header says need not be true.
            with contextlib.suppress(OSError, ValueError, OverflowError, struct.error):
                if told := _build_id(file):
                    return told
            return _digest(file, os.fstat(descriptor).st_size)
    except (OSError, ValueError):
        # Replaced or removed since it was loaded.
        return "unread"


def _build_id(file: BinaryIO) -> str | None:
    header = file.read(64)
    # 64 bits, little-endian: what engines run on.
    if header[:6] != b"\x7fELF\x02\x01":
        return None
    (table,) = struct.unpack_from("<Q", header, 32)
    size, count = struct.unpack_from("<HH", header, 54)
    file.seek(table)
    entries = file.read(size * min(count, 256))
    for at in range(0, len(entries) - 55, size or 56):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", entries, at)
        if kind == 4:
            file.seek(offset)
            if found := _gnu_note(file.read(min(length, _MAX_NOTES))):
                return f"build-id:{found.hex()}"
    return None


def _gnu_note(notes: bytes) -> bytes | None:
    at = 0
    while at + 12 <= len(notes):
        name, length, kind = struct.unpack_from("<III", notes, at)
        begin = at + 12 + (name + 3 & ~3)
        if kind == 3 and notes[at + 12 : at + 16] == b"GNU\0" and 0 < length <= 64:
            return notes[begin : begin + length]
        at = begin + (length + 3 & ~3)
    return None


def _digest(file: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    if size <= _WHOLE:
        file.seek(0)
        while block := file.read(1 << 20):
            digest.update(block)
        return f"sha256:{digest.hexdigest()}"
    for part in range(_PARTS):
        file.seek((size - _PART) * part // (_PARTS - 1))
        digest.update(file.read(_PART))
    return f"parts:{size}:{digest.hexdigest()}"


def _inert(found: Mapping[str, str]) -> Versions:
    """As the schema takes it, by name. Names come from an image: what is not plain ASCII becomes `?`."""
    plain = sorted((_ODD.sub("?", name)[-MAX_NAME:], _ODD.sub("?", told)[:MAX_VERSION]) for name, told in found.items())
    return {name: told for name, told in plain[:MAX_ENTRIES] if name and told}


def _listed(folder: Path) -> Sequence[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
