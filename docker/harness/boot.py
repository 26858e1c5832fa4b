"""Unpacks the harness and becomes it. The host runs this as `python3 -S -c <this text>`: it needs no package.

Stdin holds a decimal byte count on a line of its own, then exactly that many bytes of JSON (`Start` in
src/engine/protocol.ts), then commands. It is read with os.read alone: a buffered reader would swallow commands
that the harness is to read after the exec.
"""

import json
import os
import sys


def read(count: int) -> bytes:
    parts = []
    while count > 0:
        part = os.read(0, count)
        if not part:
            sys.exit("boot: stdin ended before the harness had arrived")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def private_folder() -> str:
    """As tempfile makes one, whose import takes longer than all else here."""
    name = f"deterministic-ml-{os.urandom(4).hex()}"
    why = None
    for parent in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp"):
        try:
            if parent:
                path = os.path.join(os.path.abspath(parent), name)
                os.mkdir(path, 0o700)
                return path
        except OSError as error:
            why = why or error
    sys.exit(f"boot: there is no folder for temporary files: {why}")


count = b""
while not count.endswith(b"\n"):
    count += read(1)
    if len(count) > 12:
        sys.exit("boot: stdin does not begin with a byte count")
start = json.loads(read(int(count)))

os.environ.update(start["environment"])
# Private to this user (mode 0700), below TMPDIR if it is set: the harness removes it when it ends. Only SIGKILL
# leaves it behind, and in a container it lies in a tmpfs.
folder = private_folder()
files = start.pop("files")
files["start.json"] = json.dumps(start)
made = {folder}
for name, content in files.items():
    path = os.path.join(folder, name)
    parent = os.path.dirname(path)
    if parent not in made:
        os.makedirs(parent, exist_ok=True)
        made.add(parent)
    with open(path, "wb") as file:
        file.write(content.encode())

# A new interpreter, so that PYTHONHASHSEED and the like count; a real file, since an engine's workers import it again.
harness = os.path.join(folder, "harness.py")
# Unbuffered (-u): the last words of an engine that hangs or dies are what its error quotes.
os.execv(sys.executable, [sys.executable, "-u", harness])
