"""What an engine finds that looks for the job that started it. `WANTED` is JSON, `JOB` its process: see hunting.ts."""

import contextlib
import ctypes
import json
import os
import re
import socket
import subprocess

wanted, job = json.loads(WANTED), JOB  # noqa: F821
# Put together here, so that this text is not what is found.
secret = "".join(wanted["secret"]).encode()
found = []
libc = ctypes.CDLL(None, use_errno=True)


def holds(path):
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return secret in file.read(1 << 20)
    return False


def memory_holds(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            place = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if place is None:
                continue
            begin, end = (int(part, 16) for part in place.groups())
            with contextlib.suppress(OSError, OverflowError, ValueError):
                memory.seek(begin)
                if secret in memory.read(min(end - begin, 1 << 24)):
                    return True
    return False


own = {os.getpid()}
for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
    if pid not in own:
        for name in ("environ", "cmdline"):
            if holds(f"/proc/{pid}/{name}"):
                found.append(f"the secret in {name}")
        if memory_holds(pid):
            found.append("the secret in memory")
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as command:
        if "".join(wanted["job"]) in command.read() and pid not in own:
            found.append("the job's process")

# What it was told of, or guesses.
with contextlib.suppress(OSError):
    os.kill(job, 0)
    found.append("a signal for the job")
PTRACE_SEIZE = 0x4206
if libc.ptrace(PTRACE_SEIZE, job, None, None) == 0:
    found.append("the job's process by ptrace")
for name in ("core_pattern", "modprobe"):
    with contextlib.suppress(OSError):
        open(f"/proc/sys/kernel/{name}", "r+").close()
        found.append(f"the kernel's {name}")
streams = set()
for pid in (1, os.getpid()):
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            streams.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
for descriptor in range(3, 1 << 10):
    with contextlib.suppress(OSError):
        target = os.readlink(f"/proc/self/fd/{descriptor}")
        if target not in streams and not target.startswith(("/proc/", "pipe:", "/dev/null", "/tmp/deterministic-ml-")):
            found.append(f"an open descriptor: {target}")


def look_at_files(when):
    for path in wanted["hidden"]:
        if holds(path) or (os.path.isdir(path) and any(holds(os.path.join(path, name)) for name in os.listdir(path))):
            found.append(f"{when}: {path}")
    for path in wanted["sealed"]:
        with contextlib.suppress(OSError):
            open(path, "a").close()
            found.append(f"{when}: a way to write {path}")


look_at_files("at once")
for path in wanted["sockets"]:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        found.append(f"an open socket: {path}")
# Ways back, by taking the view apart as far as the kernel lets it: never as the machine's own root, whose view is the
# machine itself.
with open("/proc/self/uid_map") as ids:
    is_machine_s = ids.read().split() == ["0", "0", "4294967295"]
if os.getuid() == 0 and is_machine_s:
    found.append("root's rights")
else:
    os.chdir("/")
    for place in ("/proc", *wanted["covers"]):
        libc.umount2(place.encode(), 2)
    undo = [f"umount -l {place}; mount -o remount,bind,rw {place}" for place in ("/proc", "/", *wanted["covers"])]
    look = [f"cat /proc/*/environ {' '.join(wanted['hidden'])}"]
    write = [f"echo x >> {file}" for file in wanted["sealed"]]
    for tool in (["unshare", "--user", "--map-root-user", "--mount"], ["sudo", "-n"], []):
        with contextlib.suppress(OSError):
            program = [*tool, "sh", "-c", "; ".join((*undo, *look, *write))]
            said = subprocess.run(program, capture_output=True, env={"PATH": os.environ["PATH"]})
            if secret in said.stdout:
                found.append(f"the secret by {tool or 'umount'}")
look_at_files("after all")
print(
    "HUNT "
    + json.dumps(
        {
            "found": found,
            "kept": {
                "cpus": os.cpu_count(),
                "affinity": sorted(os.sched_getaffinity(0)),
                "shm": os.access("/dev/shm", os.W_OK),
                "tmp": os.access("/tmp", os.W_OK),
                "devices": os.access("/dev/null", os.W_OK),
                "root": os.getuid() == 0,
            },
        }
    ),
    flush=True,
)
