"""What the GPUs say of their own health (HealthReading in src/health/schema.ts): facts, no judgement.

nvidia-smi is asked for its XML, since one unknown field fails a whole `--query-gpu`, and names have changed over time.
A value that is not told is None; a GPU that cannot be asked at all makes the reading `unreadable`, never a healthy one.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import html
import os
import re
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .devices import UNKNOWN, UNTOLD_CARD, Devices, look, visible
from .lifeline import descendants

At = Literal["before", "after"]
Reading = dict[str, Any]

# Of a whole `nvidia-smi -q -x`: eight GPUs with their lists of clocks are below 1 MB.
MAX_BYTES = 8 * 1024 * 1024
MAX_TEXT = 128
MAX_GPUS = 64
MAX_PROCESSES = 32
MAX_XIDS = 64
# Without persistence mode the driver first wakes eight GPUs; one that is lost can keep nvidia-smi for ever.
SECONDS = 30.0

_DEVICES = ("/dev/nvidia[0-9]*", "/proc/driver/nvidia/gpus/*", "/dev/nvhost-gpu", "/dev/nvgpu", "/dev/kfd")

# As its manual has them.
_EXITS = {
    2: "an argument is not valid",
    3: "the operation is not supported on this device",
    4: "this user may not ask",
    6: "no such device",
    8: "a power cable is not attached",
    9: "the driver is not loaded",
    10: "the kernel has an interrupt issue with a GPU",
    12: "NVML is not found",
    13: "this NVML is too old for it",
    14: "the infoROM of a GPU is corrupt",
    15: "a GPU has fallen off the bus",
}
_NO_DRIVER = (6, 9, 12)
_INFO_ROM = 14
_OFF_THE_BUS = 15
_LOST = re.compile(r"GPU is lost|fallen off the bus", re.IGNORECASE)
_NEEDS_RESET = re.compile(r"GPU requires reset", re.IGNORECASE)
_UNTOLD = re.compile(
    r"^\[?(?:N/?A|Not Supported|Insufficient Permissions|Unknown Error|Not Found|"
    r"Requested functionality has been deprecated|GPU requires reset|GPU is lost)?\]?$",
    re.IGNORECASE,
)
_YES_NO = {"yes": True, "no": False, "enabled": True, "disabled": False, "active": True, "not active": False}
# What XML cannot hold; and what a process calls itself.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = ("<process_name>", "</process_name>")
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F]{1,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.\d)?\): (\d{1,5})")


@dataclass(frozen=True)
class Answer:
    """How nvidia-smi ended. `exit` is None where it gave no answer in time, or one without end."""

    exit: int | None
    out: str = ""
    err: str = ""


Ask = Callable[[Sequence[str], float], Answer | None]


@dataclass(frozen=True)
class Machine:
    """What a reading looks at."""

    ask: Ask
    """Runs nvidia-smi; None where there is none."""
    has_device: Callable[[], bool]
    """Whether there is a device of a GPU, whoever can read it."""
    kernel_log: Callable[[], Iterable[tuple[float, str]] | None]
    """Seconds since boot and message; None where this user may not read it."""
    own: Callable[[], Collection[int]]
    """Processes that are ours."""
    is_here: Callable[[int], bool]
    """Whether a process of that number is seen from here."""
    now: Callable[[], float]


def ask_smi(args: Sequence[str], seconds: float) -> Answer | None:
    """In a child of its own, which is left alone where even SIGKILL does not end it: it may hang in the driver."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            child = subprocess.Popen(
                ["nvidia-smi", *args],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "LC_ALL": "C", "LANG": "C"},
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            return Answer(126, err=str(error))
        code = _end_of(child, seconds, out, err)
        if code is None:
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(1)
        return Answer(code, _start_of(out), _start_of(err))


def _end_of(child: subprocess.Popen[bytes], seconds: float, *files: Any) -> int | None:
    """Its exit code; None for one that does not end in time, or writes more and more."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and all(os.fstat(f.fileno()).st_size <= 2 * MAX_BYTES for f in files):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(min(left, 0.2))
    return None


def _start_of(file: Any) -> str:
    file.seek(0)
    return bytes(file.read(MAX_BYTES)).decode(errors="replace")


def _kernel_log() -> list[tuple[float, str]] | None:
    try:
        log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    found: list[tuple[float, str]] = []
    try:
        # One record each; the buffer of the kernel holds far fewer.
        for _ in range(1_000_000):
            try:
                record = os.read(log, 8192)
            except BrokenPipeError:
                continue
            except BlockingIOError:
                return found
            except OSError:
                return None
            head, _, message = record.decode(errors="replace").partition(";")
            if "NVRM" in message:
                found.append((int(head.split(",")[2]) / 1e6, message))
    finally:
        os.close(log)
    return found


def _is_here(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


HERE = Machine(
    ask=ask_smi,
    has_device=lambda: any(glob.glob(pattern) for pattern in _DEVICES),
    kernel_log=_kernel_log,
    own=lambda: {os.getpid(), *descendants(os.getpid())},
    is_here=_is_here,
    now=time.monotonic,
)


@dataclass
class Watch:
    """The health of the GPUs that one lifetime uses, before and after."""

    machine: Machine = HERE
    # `CUDA_VISIBLE_DEVICES` of the engine.
    listed: str | None = None
    _since: float = field(init=False)
    _used: frozenset[str] | None = field(init=False, default=None)
    _is_asked: bool = field(init=False)
    # What they are, as told in the same answer.
    devices: Devices = field(init=False, default_factory=Devices)

    def __post_init__(self) -> None:
        self._since = self.machine.now()
        # What ails a GPU that the engine is not given does not matter.
        self._is_asked = self.listed is None or self.listed.strip() not in ("", "-1")

    def before(self) -> Reading:
        """To be read while nothing of ours is on a GPU: what is there then is somebody else's."""
        if not self._is_asked:
            return _nothing("before", "no-gpu")
        return read("before", self._since, self.machine, self._see)

    def _see(self, root: ET.Element) -> None:
        def matrix() -> str:
            answer = self.machine.ask(["topo", "-m"], SECONDS)
            return answer.out if answer is not None and answer.exit == 0 else ""

        self.devices = look(root, uuid_hash, matrix)

    def gpus(self, torch: Mapping[str, Any], reading: Reading) -> Sequence[Mapping[str, Any]]:
        """The GPUs that the engine can use: torch's, or where there is no torch, those that nvidia-smi tells of.

        @param torch what `Facts` read; empty where there is none
        """
        if torch:
            return list(torch["gpus"])
        if not self.devices.cards:
            return [] if reading["state"] == "no-gpu" else [UNTOLD_CARD]
        answer = self.machine.ask(["--query-gpu=compute_cap", "--format=csv,noheader"], SECONDS)
        told = answer.out.splitlines() if answer is not None and answer.exit == 0 else []
        known = [line.strip() if re.fullmatch(r"\s*\d{1,2}\.\d\s*", line) else UNKNOWN for line in told]
        # As many lines as cards, or nobody knows whose they are.
        capability = known if len(known) == len(self.devices.cards) else [UNKNOWN] * len(self.devices.cards)
        cards = [{**card, "arch": arch} for card, arch in zip(self.devices.cards, capability, strict=True)]
        return visible(cards, self.listed)

    def used(self, reading: Reading, torch: Mapping[str, Any], gpus: Sequence[Mapping[str, Any]]) -> Reading:
        """The same, of what the engine can use alone, with what the self-test found.

        @param torch what `Facts` read; empty where there is none
        """
        if not self._is_asked:
            return reading
        if torch and not (torch.get("cuda") or torch.get("hip")):
            # An engine that is built without them: what ails a GPU beside it does not matter.
            self._is_asked = False
            return _nothing(reading["at"], "no-gpu")
        seen = [uuid_hash(str(gpu.get("uuid", ""))) for gpu in gpus]
        self._used = frozenset(one for one in seen if one is not None) or None
        return {**_only(reading, self._used), "selfTest": _of_self_test(torch, seen, reading)}

    def after(self) -> Reading:
        return (
            _only(read("after", self._since, self.machine), self._used)
            if self._is_asked
            else _nothing("after", "no-gpu")
        )


def read(at: At, since: float, machine: Machine = HERE, seen: Callable[[ET.Element], None] = lambda _: None) -> Reading:
    """@param since when the harness began, in seconds of `machine.now`
    @param seen is given the whole answer
    """
    answer = machine.ask(["-q", "-x"], SECONDS)
    devices = machine.has_device()
    if answer is None:
        return (
            _nothing(at, "unreadable", "there is a GPU here, and no nvidia-smi") if devices else _nothing(at, "no-gpu")
        )
    if answer.exit is None:
        return _nothing(
            at, "unreadable", f"nvidia-smi gave no answer within {SECONDS:g} s, or one without end, and was stopped"
        )
    root = _parsed(answer.out)
    if root is None:
        return _unparsed(at, answer, devices)
    elements = root.findall("gpu")[:MAX_GPUS]
    if not elements:
        return _nothing(at, "unreadable", "nvidia-smi names no GPU", answer.exit) if devices else _nothing(at, "no-gpu")
    seen(root)
    roms = _info_roms(machine)
    own = machine.own()
    gpus = [_gpu(index, element, roms.get(index), at, own, machine.is_here) for index, element in enumerate(elements)]
    if answer.exit == _OFF_THE_BUS and not any(gpu["lost"] for gpu in gpus):
        # Which one, nobody says: it may be any of these.
        gpus.append({**_UNKNOWN_GPU, "index": len(gpus), "lost": True})
    # A corrupt infoROM and a lost GPU are signs of their own.
    own_sign = answer.exit in (0, _INFO_ROM, _OFF_THE_BUS)
    return {
        **_nothing(at, "read", None if own_sign else _ended(answer.exit), answer.exit),
        "driver": _told(root.findtext("driver_version")),
        "gpus": gpus,
        "xids": _xids(machine.kernel_log(), gpus, since),
    }


def uuid_hash(uuid: str) -> str | None:
    """As the fingerprint has it: torch leaves out the prefix that nvidia-smi shows."""
    lower = uuid.strip().lower()
    if not lower or _UNTOLD.match(lower):
        return None
    whole = lower if lower.startswith(("gpu-", "mig-")) else f"gpu-{lower}"
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _nothing(at: At, state: str, why: str | None = None, exit: int | None = None) -> Reading:
    told = None if why is None else why[:512]
    return {
        "at": at,
        "state": state,
        "why": told,
        "exit": exit,
        "driver": None,
        "gpus": [],
        "xids": None,
        "selfTest": None,
    }


def _parsed(text: str) -> ET.Element | None:
    start = text.find("<nvidia_smi_log")
    # Its DTD is no business of ours, and what declares entities is no answer of nvidia-smi's.
    if start < 0 or "<!ENTITY" in text:
        return None
    end = text.rfind("</nvidia_smi_log>")
    # Warnings, such as that of a corrupt infoROM, stand before or after it.
    whole = _NO_XML.sub("\ufffd", text[start : end + len("</nvidia_smi_log>")] if end > 0 else text[start:])
    # A process may call itself what is no text of XML: with that it must not make everything unreadable.
    for answer in (whole, _with_escaped_names(whole)):
        with contextlib.suppress(ET.ParseError):
            return ET.fromstring(answer)
    return None


def _with_escaped_names(text: str) -> str:
    """In one walk: what opens a name and never closes it may stand there a million times."""
    parts: list[str] = []
    at = 0
    opens, closes = _NAME
    while (begin := text.find(opens, at)) >= 0 and (end := text.find(closes, begin)) >= 0:
        name = begin + len(opens)
        parts += (text[at:name], html.escape(text[name:end], quote=False))
        at = end
    return "".join((*parts, text[at:]))


def _unparsed(at: At, answer: Answer, devices: bool) -> Reading:
    said = f"{answer.out}\n{answer.err}"
    if answer.exit == _OFF_THE_BUS or _LOST.search(said):
        lost = {**_UNKNOWN_GPU, "lost": True}
        return {**_nothing(at, "read", exit=answer.exit), "gpus": [lost]}
    if answer.exit in _NO_DRIVER and not devices:
        return _nothing(at, "no-gpu", exit=answer.exit)
    if answer.exit == 0:
        return _nothing(at, "unreadable", "the answer of nvidia-smi is no whole XML", answer.exit)
    return _nothing(at, "unreadable", _ended(answer.exit or 0), answer.exit)


def _ended(code: int) -> str:
    return f"nvidia-smi ended with exit code {code}: {_EXITS.get(code, 'no meaning is known of it')}"


_UNKNOWN_GPU: dict[str, Any] = {
    "index": 0,
    "name": "unknown",
    "uuidHash": None,
    "pci": None,
    "lost": False,
    "needsReset": False,
    "recoveryAction": None,
    "eccMode": None,
    "eccPending": None,
    "migMode": None,
    "migPending": None,
    "eccUncorrected": None,
    "eccUncorrectedEver": None,
    "eccCorrected": None,
    "sramThresholdExceeded": None,
    "remapFailure": None,
    "remapPending": None,
    "retiredPending": None,
    "unrepairable": None,
    "repairPending": None,
    "infoRom": None,
    "throttle": [],
    "temperature": None,
    "persistence": None,
    "computeMode": None,
    "virtualization": None,
    "unnamedMib": None,
    "processes": [],
    "strange": [],
}


def _gpu(
    index: int,
    gpu: ET.Element,
    info_rom: str | None,
    at: At,
    own: Collection[int],
    is_here: Callable[[int], bool],
) -> dict[str, Any]:
    strange: list[str] = []

    def text(*paths: str) -> str | None:
        return next((told for path in paths if (told := _told(gpu.findtext(path))) is not None), None)

    def flag(*paths: str) -> bool | None:
        told = text(*paths)
        if told is None:
            return None
        known = _YES_NO.get(told.lower())
        if known is None:
            strange.append(paths[0].rpartition("/")[2])
        return known

    def count(parent: str, pattern: str) -> int | None:
        below = [] if (found := gpu.find(parent)) is None else list(found.iter())
        numbers = [n for e in below if re.fullmatch(pattern, e.tag) and (n := _number(e.text)) is not None]
        # Volta and older: one total for errors of one bit, one for those of two.
        return sum(numbers) if numbers else None

    everything = " ".join(element.text or "" for element in gpu.iter())
    pci = text("pci/pci_bus_id") or gpu.get("id")
    sign = {
        **_UNKNOWN_GPU,
        "index": index,
        "name": text("product_name") or "unknown",
        "uuidHash": uuid_hash(gpu.findtext("uuid") or ""),
        "pci": None if pci is None else _bus(pci),
        "lost": bool(_LOST.search(everything)),
        "needsReset": bool(_NEEDS_RESET.search(everything)),
        "eccMode": text("ecc_mode/current_ecc"),
        "eccPending": text("ecc_mode/pending_ecc"),
        "eccUncorrected": _either(
            count("ecc_errors/volatile", r"(?:sram|dram)_uncorrectable\w*"), _double(gpu, "volatile", "double_bit")
        ),
        "eccUncorrectedEver": _either(
            count("ecc_errors/aggregate", r"(?:sram|dram)_uncorrectable\w*"), _double(gpu, "aggregate", "double_bit")
        ),
        "eccCorrected": _either(
            count("ecc_errors/volatile", r"(?:sram|dram)_correctable"), _double(gpu, "volatile", "single_bit")
        ),
        "sramThresholdExceeded": flag("ecc_errors/aggregate/sram_threshold_exceeded"),
        "unrepairable": flag("ecc_errors/unrepairable_memory"),
        "repairPending": _any(flag("ecc_errors/channel_repair_pending"), flag("ecc_errors/tpc_repair_pending")),
        "remapFailure": flag("remapped_rows/remapped_row_failure"),
        "remapPending": flag("remapped_rows/remapped_row_pending"),
        "retiredPending": flag("retired_pages/pending_retirement", "retired_pages/pending_blacklist"),
        "infoRom": info_rom,
        "throttle": _throttle(gpu),
        "temperature": _number(text("temperature/gpu_temp")),
        "persistence": flag("persistence_mode"),
        "migMode": text("mig_mode/current_mig"),
        "migPending": text("mig_mode/pending_mig"),
        "computeMode": text("compute_mode"),
        "virtualization": text("gpu_virtualization_mode/virtualization_mode"),
        "unnamedMib": _unnamed(gpu),
        "processes": _processes(gpu, at, own, is_here),
    }
    # In words that nobody knows here, `Keine` is no recovery action either.
    action = text("gpu_recovery_action")
    if strange and action is not None and action.lower() != "none":
        strange.append("gpu_recovery_action")
        action = None
    return {**sign, "recoveryAction": action, "strange": strange[:32]}


def _double(gpu: ET.Element, when: str, bits: str) -> int | None:
    return _number(gpu.findtext(f"ecc_errors/{when}/{bits}/total"))


def _throttle(gpu: ET.Element) -> list[str]:
    """Reasons for slow clocks that are active, e.g. `hw_slowdown`, under their old name too."""
    reasons: list[str] = []
    for parent in ("clocks_event_reasons", "clocks_throttle_reasons"):
        for reason in [] if (found := gpu.find(parent)) is None else found:
            if (reason.text or "").strip().lower() == "active":
                reasons.append(re.sub(r"^clocks_(?:event|throttle)_reasons?_", "", reason.tag)[:64])
    return reasons[:32]


def _processes(gpu: ET.Element, at: At, own: Collection[int], is_here: Callable[[int], bool]) -> list[dict[str, Any]]:
    """Those that compute and are not ours: a display server computes nothing."""
    found: list[dict[str, Any]] = []
    for process in gpu.findall("processes/process_info"):
        pid = _number(process.findtext("pid"))
        if pid is None or "C" not in (process.findtext("type") or "C") or pid in own:
            continue
        # In a container the numbers may be the host's: once our engine has run, one of them may be itself.
        whose = "unclear" if at == "after" and not is_here(pid) else "other"
        name = _told(process.findtext("process_name")) or "unknown"
        found.append({"pid": pid, "name": name, "mib": _number(process.findtext("used_memory")), "whose": whose})
    return found[:MAX_PROCESSES]


def _unnamed(gpu: ET.Element) -> int | None:
    """MiB in use where no process is shown at all. Of a card in slices they may be another slice's."""
    if gpu.find("processes/process_info") is not None or gpu.findtext("mig_mode/current_mig", "").strip() == "Enabled":
        return None
    return _number(gpu.findtext("fb_memory_usage/used"))


def _info_roms(machine: Machine) -> dict[int, str]:
    """The XML does not tell whether its checksum is right. A driver that does not know the field tells nothing."""
    answer = machine.ask(["--query-gpu=index,inforom.checksum_validation", "--format=csv,noheader"], SECONDS)
    if answer is None or answer.exit is None:
        return {}
    rows = (line.partition(",") for line in answer.out.splitlines()[:MAX_GPUS])
    told = ((_number(index), _told(value)) for index, _, value in rows)
    return {index: value for index, value in told if index is not None and value is not None}


def _xids(
    log: Iterable[tuple[float, str]] | None, gpus: Sequence[Mapping[str, Any]], since: float
) -> list[dict[str, Any]] | None:
    """None where the kernel's log cannot be read. Each kind of error once a GPU."""
    if log is None:
        return None
    of = {gpu["pci"]: gpu["index"] for gpu in gpus}
    found: dict[tuple[int, int], bool] = {}
    for at, message in log:
        match = _XID.search(message)
        if match and (gpu := of.get(_bus(match[1]))) is not None:
            key = (gpu, int(match[2]))
            found[key] = found.get(key, False) or at >= since
    return [{"gpu": gpu, "xid": xid, "during": during} for (gpu, xid), during in sorted(found.items())][:MAX_XIDS]


def _of_self_test(torch: Mapping[str, Any], seen: Sequence[str | None], reading: Reading) -> dict[str, Any] | None:
    """By the numbers of nvidia-smi; where a GPU's is not known, by torch's own."""
    test = torch.get("selfTest")
    if not isinstance(test, dict):
        return None
    of = {gpu["uuidHash"]: gpu["index"] for gpu in reading["gpus"] if gpu["uuidHash"] is not None}
    gpus = [
        {"gpu": of.get(uuid, i), "distinct": distinct}
        for i, (uuid, distinct) in enumerate(zip(seen, test.get("distinct", ()), strict=False))
        if distinct is not None
    ]
    return {
        "rounds": test.get("rounds", 0),
        "seconds": test.get("seconds", 0.0),
        "gpus": gpus,
        "why": None if test.get("why") is None else str(test["why"])[:512],
    }


def _only(reading: Reading, used: Collection[str] | None) -> Reading:
    """Where torch's GPUs are among them (a slice of one has a UUID of its own), without those that it does not see."""
    kept = [gpu for gpu in reading["gpus"] if used is not None and gpu["uuidHash"] in used]
    if not kept:
        return reading
    kept += [gpu for gpu in reading["gpus"] if gpu["lost"] and gpu["pci"] is None]
    indices = {gpu["index"] for gpu in kept}
    xids = reading["xids"]
    return {
        **reading,
        "gpus": kept,
        "xids": None if xids is None else [one for one in xids if one["gpu"] in indices],
    }


def _told(value: str | None) -> str | None:
    """One line of printable text, or None for what nvidia-smi says instead of a value."""
    clean = "".join(c if c.isprintable() else "�" for c in " ".join((value or "").split()))[:MAX_TEXT]
    return None if _UNTOLD.match(clean) else clean


def _number(value: str | None) -> int | None:
    match = re.match(r"\s*(-?\d{1,15})(?:\.\d+)?(?:\s|$)", value or "")
    return int(match[1]) if match else None


def _either(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


def _any(*flags: bool | None) -> bool | None:
    return None if all(one is None for one in flags) else any(flags)


def _bus(pci: str) -> str:
    """`00000000:00:06.0` and `0000:00:06` name one bus."""
    domain, bus, device = [*pci.lower().partition(".")[0].split(":"), "", ""][:3]
    return f"{int(domain, 16):04x}:{bus}:{device}" if re.fullmatch("[0-9a-f]+", domain) else pci[:32]
