"""What nvidia-smi's XML and the kernel's log say of each GPU: loaded where there is something to read.

nvidia-smi is asked for its XML, since one unknown field fails a whole `--query-gpu`, and names have changed over time.
A value that is not told is None; a GPU that cannot be asked at all makes the reading `unreadable`, never a healthy one.
"""

from __future__ import annotations

import contextlib
import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from .devices import UNTOLD, uuid_hash
from .smi import HERE, SECONDS, Answer, At, Machine, Reading, nothing

MAX_TEXT = 128
MAX_GPUS = 64
MAX_PROCESSES = 32
MAX_XIDS = 64

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
_YES_NO = {"yes": True, "no": False, "enabled": True, "disabled": False, "active": True, "not active": False}
# What XML cannot hold; and what a process calls itself.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = ("<process_name>", "</process_name>")
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F]{1,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.\d)?\): (\d{1,5})")


def read(at: At, since: float, machine: Machine = HERE, seen: Callable[[ET.Element], None] = lambda _: None) -> Reading:
    """@param since when the harness began, in seconds of `machine.now`
    @param seen is given the whole answer
    """
    answer = machine.ask(["-q", "-x"], SECONDS)
    devices = machine.has_device()
    if answer is None:
        return nothing(at, "unreadable", "there is a GPU here, and no nvidia-smi") if devices else nothing(at, "no-gpu")
    if answer.exit is None:
        return nothing(
            at, "unreadable", f"nvidia-smi gave no answer within {SECONDS:g} s, or one without end, and was stopped"
        )
    root = _parsed(answer.out)
    if root is None:
        return _unparsed(at, answer, devices)
    elements = root.findall("gpu")[:MAX_GPUS]
    if not elements:
        return nothing(at, "unreadable", "nvidia-smi names no GPU", answer.exit) if devices else nothing(at, "no-gpu")
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
        **nothing(at, "read", None if own_sign else _ended(answer.exit), answer.exit),
        "driver": _told(root.findtext("driver_version")),
        "gpus": gpus,
        "xids": _xids(machine.kernel_log(), gpus, since),
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
        return {**nothing(at, "read", exit=answer.exit), "gpus": [lost]}
    if answer.exit in _NO_DRIVER and not devices:
        return nothing(at, "no-gpu", exit=answer.exit)
    if answer.exit == 0:
        return nothing(at, "unreadable", "the answer of nvidia-smi is no whole XML", answer.exit)
    return nothing(at, "unreadable", _ended(answer.exit or 0), answer.exit)


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


def _told(value: str | None) -> str | None:
    """One line of printable text, or None for what nvidia-smi says instead of a value."""
    clean = "".join(c if c.isprintable() else "�" for c in " ".join((value or "").split()))[:MAX_TEXT]
    return None if UNTOLD.match(clean) else clean


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
