"""Keeps what a launcher has started on another machine: begins it in a folder of its own, and ends all of it.

The host runs this there as `python3 -c <this text> <settings as JSON> <program>`, by a line for `sh` on stdin; the
settings are those of src/runtime/launcher/far.ts. It writes to stderr, each on a line behind the host's mark, `begun`,
after which the host sends what the program is to read, and `ended <code> <signal>` once nothing that it started is
left. Linux only, as the engines are.

It is two processes, since a launcher may kill its own child before the end of stdin has been seen, as a worker of
Ray's does with SIGKILL when it goes: the first only waits, and the second, which nobody there knows, outlives it for as
long as it takes to end the program.
"""

import contextlib
import ctypes
import json
import os
import re
import select
import shutil
import signal
import sys
import tempfile
import time
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# The harness ends within two seconds after the end of stdin, whatever it does: this is the net under it.
_GRACE_SECONDS = 3.0
_LOOK_SECONDS = 0.05


def main() -> None:
    # Until somebody is there to act on them: one that came before would end a process and leave what it started.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    front = os.getpid()
    keeper = os.fork()
    if keeper != 0:
        stand_for(keeper)
    # Out of the launcher's group and session, and told of the end of who stands in it.
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != front:
        os._exit(128 + signal.SIGTERM)
    far = json.loads(sys.argv[1])
    # Children of children that die become this process's, so that none of them is overlooked.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sweep()
    top, scratch = own_folder()
    try:
        os.chdir(scratch)
        tell(far["mark"], "begun")
        status = keep(start(far, scratch, sys.argv[2]))
    finally:
        clear()
        # What was killed may still be closing its files.
        for _ in range(50):
            shutil.rmtree(top, ignore_errors=True)
            if not os.path.exists(top):
                break
            time.sleep(0.1)
    number = -status if status < 0 else 0
    tell(
        far["mark"], f"ended {status if number == 0 else 128 + number} {signal.Signals(number).name if number else '-'}"
    )
    os._exit(status if number == 0 else 128 + number)


def stand_for(keeper: int) -> None:
    """What the launcher has of the keeper: its signals go there, and it ends as that does."""
    null = os.open(os.devnull, os.O_RDWR)
    # The end of what the program reads and writes is to be seen by the other side.
    for number in (0, 1):
        os.dup2(null, number)
    for stop in _STOPS:
        signal.signal(stop, lambda *_: os.kill(keeper, signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    status = os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1])
    os._exit(status if status >= 0 else 128 - status)


def own_folder() -> tuple[str, str]:
    """One that says whose it is, as src/machine/scratch.ts has it, and in it the program's own."""
    top = tempfile.mkdtemp(prefix="deterministic-ml-")
    with open(os.path.join(top, "owner"), "w", encoding="utf-8") as file:
        file.write(f"{here()} {os.getpid()} {started('self')}\n")
    scratch = os.path.join(top, "1")
    os.mkdir(scratch, 0o700)
    return top, scratch


def sweep() -> None:
    """Removes such folders of this user whose process here was killed."""
    for entry in os.scandir(tempfile.gettempdir()):
        if not re.fullmatch(r"deterministic-ml-[A-Za-z0-9_]{6,8}", entry.name) or not entry.is_dir(
            follow_symlinks=False
        ):
            continue
        with contextlib.suppress(OSError):
            if entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            where = os.open(os.path.join(entry.path, "owner"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(where, "rb") as file:
                told = file.read(256).decode(errors="replace")
            mark = re.fullmatch(r"(\S+ \S+) (\d{1,10}) (\d{1,20})\n", told)
            # Another machine, or a container's own list of processes: nothing can be told from here.
            if mark and mark[1] == here() and started(mark[2]) != mark[3]:
                shutil.rmtree(entry.path, ignore_errors=True)


def here() -> str:
    """Where a process's number means one process."""
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"


def started(pid: str) -> str | None:
    """In clock ticks since the machine's start; none for one that is not there, or is dead."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def start(far: dict[str, object], scratch: str, program: str) -> int:
    environment = surroundings(far, scratch)
    child = os.fork()
    if child == 0:
        # A signal to this process's group is for this process to pass on.
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        os.execve(sys.executable, [sys.executable, "-c", program], environment)
    # Its end is to be seen by whoever reads.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    return child


def surroundings(far: dict[str, object], scratch: str) -> dict[str, str]:
    """What is set there by others reaches an engine only where it finds programs and devices, or tunes numbers."""
    names, prefixes, below, own = (far[key] for key in ("names", "prefixes", "below", "environment"))
    assert isinstance(names, list) and isinstance(prefixes, list) and isinstance(below, dict) and isinstance(own, dict)
    secret = re.compile(str(far["secret"]), re.IGNORECASE)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not secret.search(name) and (name in names or name.startswith(tuple(prefixes)))
    }
    home = os.environ.get("HOME")
    # What the user has installed there for a Python stays where it is.
    base = os.environ.get("PYTHONUSERBASE") or (home and os.path.join(home, ".local"))
    return {
        **kept,
        **({"PYTHONUSERBASE": base} if base else {}),
        **{name: os.path.normpath(os.path.join(scratch, path)) for name, path in below.items()},
        **own,
        "CUDA_VISIBLE_DEVICES": visible(far, os.environ.get("CUDA_VISIBLE_DEVICES", "")),
    }


def visible(far: dict[str, object], inherited: str) -> str:
    """Of the devices that are named, else of those that a scheduler gave, else of all, as many as are wanted."""
    gpus, devices = far["gpus"], far["devices"]
    if not isinstance(gpus, int) or not isinstance(devices, list):
        return ""
    usable = devices or [one for one in inherited.split(",") if one.strip()]
    return ",".join(usable[:gpus] if usable else map(str, range(gpus)))


def keep(child: int) -> int:
    """Waits for the end of the child, and ends it once nobody can write to stdin. Its exit code, or -signal."""
    poll = select.poll()
    # Hang-up is always told; that a socket's other end writes no more is asked for.
    poll.register(0, select.POLLRDHUP)
    late: list[float] = []

    def stop(number: int, _: "FrameType | None") -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        late.append(time.monotonic() + _GRACE_SECONDS)

    for number in _STOPS:
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    hung_up = False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended == child:
            return os.waitstatus_to_exitcode(status)
        if late and time.monotonic() > late[0]:
            kill(child)
        if hung_up:
            time.sleep(_LOOK_SECONDS)
        elif poll.poll(_LOOK_SECONDS * 1000):
            hung_up = True
            late.append(time.monotonic() + _GRACE_SECONDS)


def clear() -> None:
    """Kills all that is left of what was started: workers of an engine that died must not keep its GPU."""
    for _ in range(200):
        left = descendants(os.getpid())
        for pid in left:
            kill(pid)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        if not left:
            return
        time.sleep(0.01)


def descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        # A zombie is dead already.
        if state not in "ZX":
            children.setdefault(int(parent), []).append(int(entry))
    found: list[int] = []
    pending = [root]
    while pending:
        born = children.get(pending.pop(), [])
        found += born
        pending += born
    return found


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def tell(mark: str, what: str) -> None:
    # The break before it ends what somebody else printed.
    with contextlib.suppress(OSError):
        os.write(2, f"\n{mark} {what}\n".encode())


if __name__ == "__main__":
    main()
