"""What nvidia-smi may say, and how a machine may look: two real captures, and variants that differ in what is named.

A variant is an edit of a real one, after the forms that NVIDIA's manual and drivers of other ages have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deterministic_ml.harness.health import Watch
from deterministic_ml.harness.smi import Answer, Machine, Reading

FIXTURES = Path(__file__).parents[1] / "fixtures" / "health"
H100 = (FIXTURES / "h100.xml").read_text()
H200 = (FIXTURES / "h200.xml").read_text()
VALID = "0, valid\n"
UUID = "GPU-00000000-0000-0000-0000-000000000000"
OTHER_UUID = "GPU-11111111-0000-0000-0000-000000000000"
# When the harness began, in seconds since boot.
BEGAN = 1000.0


@dataclass(frozen=True)
class Capture:
    what: str
    xml: str | None = H100
    """None where it is not installed."""
    exit: int | None = 0
    err: str = ""
    csv: str = VALID
    capability: str = "9.0\n"
    real: bool = False
    devices: bool = True
    log: Sequence[tuple[float, str]] | None = None
    own: tuple[int, ...] = ()
    here: tuple[int, ...] = ()
    after: bool = False
    torch: dict[str, Any] | None = None


def read(capture: Capture) -> Reading:
    watch = Watch(machine_of(capture))
    torch = torch_of(capture)
    before = watch.used(watch.before(), torch, torch["gpus"])
    return watch.after() if capture.after else before


def machine_of(capture: Capture) -> Machine:
    def ask(args: Sequence[str], _: float) -> Answer | None:
        if capture.xml is None:
            return None
        if args[0] == "-q":
            return Answer(capture.exit, capture.xml, capture.err)
        if args[0] == "--query-gpu=compute_cap":
            return Answer(0, capture.capability)
        return Answer(0, capture.csv)

    return Machine(
        ask=ask,
        has_device=lambda: capture.devices,
        kernel_log=lambda: capture.log,
        own=lambda: capture.own,
        is_here=lambda pid: pid in capture.here,
        now=lambda: BEGAN,
    )


def torch_of(capture: Capture) -> dict[str, Any]:
    """As torch tells UUIDs: without their prefix."""
    return {"cuda": "13.0", "hip": None, "gpus": [{"uuid": UUID[4:]}], **(capture.torch or {})}


def edited(*edits: tuple[str, str], of: str = H100) -> str:
    for old, new in edits:
        assert old in of, old
        of = of.replace(old, new)
    return of


def field(name: str, value: str, of: str = H100, inside: str = "") -> str:
    """Sets a field: the first of that name after `inside`."""
    start = of.index(f"<{inside}>") if inside else 0
    whole = re.compile(rf"<{name}>[^<]*</{name}>")
    assert whole.search(of, start), name
    return of[:start] + whole.sub(f"<{name}>{value}</{name}>", of[start:], count=1)


def without(name: str, of: str = H100) -> str:
    return re.sub(rf"<{name}>.*?</{name}>\s*", "", of, count=1, flags=re.S)


def block(name: str, text: str, of: str = H100) -> str:
    changed = re.sub(rf"<{name}>.*?</{name}>", f"<{name}>{text}</{name}>", of, count=1, flags=re.S)
    assert changed != of, name
    return changed


def process(pid: int, name: str, kind: str = "C", mib: str = "512 MiB") -> str:
    told = f"<pid>{pid}</pid><type>{kind}</type><process_name>{name}</process_name><used_memory>{mib}</used_memory>"
    return edited(("<processes>", f"<processes><process_info>{told}</process_info>"))


def two(change: Callable[[str], str]) -> str:
    """A machine of two: the second as `change` makes it of the first."""
    begin, end = H100.index("\t<gpu id="), H100.index("</nvidia_smi_log>")
    second = H100[begin:end].replace(UUID, OTHER_UUID).replace("00000000:00:06.0", "00000000:00:07.0")
    return H100[:end] + change(second) + H100[end:]


def throttled(*reasons: str, prefix: str = "clocks_event_reason") -> str:
    told = "".join(f"<{prefix}_{reason}>Active</{prefix}_{reason}>" for reason in reasons)
    changed = block("clocks_event_reasons", told)
    return changed.replace("clocks_event_reasons>", f"{prefix}s>")


def xid(seconds: float, number: int, pci: str = "0000:00:06") -> tuple[float, str]:
    return (seconds, f"NVRM: Xid (PCI:{pci}): {number}, pid=1234, name=python3, Ch 00000008")


# Volta and older: bad pages are retired, and errors are counted by bits.
_PAGES = (
    "<multiple_single_bit_retirement><retired_count>0</retired_count></multiple_single_bit_retirement>"
    "<double_bit_retirement><retired_count>1</retired_count></double_bit_retirement>"
    "<pending_blacklist>PENDING</pending_blacklist><pending_retirement>PENDING</pending_retirement>"
)
_BITS = (
    "<volatile><single_bit><total>0</total></single_bit><double_bit><total>DOUBLE</total></double_bit></volatile>"
    "<aggregate><single_bit><total>4</total></single_bit><double_bit><total>1</total></double_bit></aggregate>"
)


def volta(double: int, pending: str) -> str:
    pages = block("retired_pages", _PAGES.replace("PENDING", pending), without("gpu_recovery_action"))
    counted = block("ecc_errors", _BITS.replace("DOUBLE", str(double)), pages)
    return block("remapped_rows", "N/A", field("product_name", "Tesla V100-SXM2-16GB", counted))


_UNTOLD = "N/A"
_VGPU = block(
    "remapped_rows",
    _UNTOLD,
    block(
        "ecc_errors",
        "<volatile><sram_correctable>N/A</sram_correctable><dram_uncorrectable>N/A</dram_uncorrectable></volatile>",
        field("virtualization_mode", "VGPU", field("gpu_recovery_action", _UNTOLD)),
    ),
)
_GEFORCE = block(
    "remapped_rows",
    _UNTOLD,
    block(
        "ecc_errors",
        "<volatile><dram_uncorrectable>[N/A]</dram_uncorrectable></volatile>",
        edited(("NVIDIA H100 80GB HBM3", "NVIDIA GeForce RTX 4090"), ("<current_ecc>Enabled", "<current_ecc>[N/A]")),
    ),
)
_MIG = block(
    "remapped_rows",
    _UNTOLD,
    edited(
        ("<current_mig>Disabled", "<current_mig>Enabled"),
        ("<pending_mig>Disabled", "<pending_mig>Enabled"),
        ("<gpu_util>0 %", "<gpu_util>N/A"),
    ),
)
_JETSON = """<?xml version="1.0" ?>
<nvidia_smi_log><driver_version>540.4.0</driver_version><attached_gpus>1</attached_gpus>
<gpu id="N/A"><product_name>Orin (nvgpu)</product_name><uuid>N/A</uuid>
<ecc_mode><current_ecc>N/A</current_ecc></ecc_mode>
<temperature><gpu_temp>N/A</gpu_temp></temperature><processes></processes></gpu></nvidia_smi_log>"""
_GERMAN = edited(
    ("<remapped_row_pending>No", "<remapped_row_pending>Nein"),
    ("<remapped_row_failure>No", "<remapped_row_failure>Nein"),
    ("<gpu_recovery_action>None", "<gpu_recovery_action>Keine"),
)
_LOST = re.sub(r">(?:Enabled|Disabled|None|No|Yes|\d+)<", ">GPU is lost<", H100)
_BOMB = edited(('SYSTEM "nvsmi_device_v13.dtd"', '[<!ENTITY a "aaaaaaaaaa">]'))
_HOSTILE = "&lt;script&gt;\x1b[31m::error::&amp;#10;" + "x" * 300
_SMI_LOST = (
    "Unable to determine the device handle for GPU 0000:00:06.0: GPU is lost.  Reboot the system to recover this GPU"
)
_NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running."
)


def _exit(code: int, what: str, text: str = "", devices: bool = True) -> Capture:
    return Capture(f"exit code {code}: {what}", text, code, devices=devices)


CAPTURES: dict[str, Capture] = {
    "h100": Capture("a real H100 80GB HBM3, driver 580.159.04, before any run", real=True),
    "h200": Capture("a real H200, driver 580.159.04, before any run", H200, real=True),
    "no-gpu": Capture("a machine without GPU: nothing is started", None, devices=False, real=True),
    "cpu-build": Capture("a sick GPU beside an engine that is built for CPUs", _LOST, torch={"cuda": None, "gpus": []}),
    "no-smi": Capture("a GPU, and a container without nvidia-smi", None),
    "jetson": Capture("a Jetson, whose nvidia-smi tells next to nothing", _JETSON, torch={"gpus": [{"uuid": ""}]}),
    "vgpu": Capture("a vGPU of a hypervisor: faults are `N/A`", _VGPU),
    "geforce": Capture("a GeForce: no ECC, no spare rows", _GEFORCE),
    "mig": Capture("MIG: a slice, whose card tells no remapped rows", _MIG, torch={"gpus": [{"uuid": "MIG-2222"}]}),
    "mig-pending": Capture("MIG is switched at the next reset", field("pending_mig", "Enabled")),
    "old-driver": Capture(
        "a driver before 555: no recovery action, no field for the infoROM, the old name of slow clocks",
        without("gpu_recovery_action", throttled("gpu_idle", prefix="clocks_throttle_reason")),
        csv='Field "inforom.checksum_validation" is not a valid field to query.\n',
    ),
    "permissions": Capture(
        "`[Insufficient Permissions]` where errors are counted",
        edited(
            *(
                (f"<{n}>0</{n}>", f"<{n}>[Insufficient Permissions]</{n}>")
                for n in (
                    *("sram_correctable", "sram_uncorrectable_parity", "sram_uncorrectable_secded"),
                    *("dram_correctable", "dram_uncorrectable"),
                )
            )
        ),
    ),
    "german": Capture("an answer in another language", _GERMAN),
    "recovery": Capture("the driver asks for a reset", field("gpu_recovery_action", "Reset")),
    "drain": Capture("the driver asks to drain it first", field("gpu_recovery_action", "Drain and Reset")),
    "requires-reset": Capture("`GPU requires reset` in place of values", field("gpu_temp", "GPU requires reset")),
    "lost": Capture("a GPU that fell off the bus: `GPU is lost` in place of values", _LOST),
    "lost-15": Capture("a GPU that fell off the bus: exit code 15 and no XML", "", 15, _SMI_LOST),
    "lost-text": Capture("a GPU that fell off the bus: text and exit code 255", _SMI_LOST, 255),
    "dram": Capture("one memory error that could not be corrected", field("dram_uncorrectable", "1")),
    "sram": Capture("two such errors of SRAM", field("sram_uncorrectable_parity", "2")),
    "corrected": Capture("five that were corrected", field("sram_correctable", "5")),
    "past": Capture(
        "one that could not, before the driver was loaded", field("dram_uncorrectable", "1", inside="aggregate")
    ),
    "threshold": Capture("more SRAM errors than the vendor allows", field("sram_threshold_exceeded", "Yes")),
    "remap-failure": Capture("a bad row and no spare one", field("remapped_row_failure", "Yes")),
    "remap-pending": Capture("a bad row that waits for a reset", field("remapped_row_pending", "Yes")),
    "unrepairable": Capture("memory that cannot be repaired", field("unrepairable_memory", "Yes")),
    "tpc-repair": Capture("SMs that wait for a repair", field("tpc_repair_pending", "Yes")),
    "volta": Capture("a V100, in the form of its time, with one old error", volta(0, "No")),
    "volta-double": Capture("a V100 with a double bit error", volta(1, "No")),
    "volta-pending": Capture("a V100 with a page that waits for a reset", volta(0, "Yes")),
    "inforom": Capture("a wrong checksum of the infoROM", csv="0, invalid\n"),
    "inforom-14": Capture(
        "exit code 14: a corrupt infoROM, beside a whole answer",
        exit=14,
        csv="",
        err="WARNING: infoROM is corrupted at gpu 0000:00:06.0",
    ),
    "ecc-pending": Capture("ECC is switched at the next reset", field("pending_ecc", "Disabled")),
    "prohibited": Capture("compute mode Prohibited", field("compute_mode", "Prohibited")),
    "slowdown": Capture("the hardware slows it", throttled("hw_slowdown", "hw_thermal_slowdown")),
    "old-slowdown": Capture("the same under its old name", throttled("hw_slowdown", prefix="clocks_throttle_reason")),
    "brake": Capture("the power supply slows it", throttled("hw_power_brake_slowdown")),
    "heat": Capture("software slows it, for heat", throttled("sw_thermal_slowdown")),
    "power-cap": Capture("it runs at its power limit", throttled("sw_power_cap")),
    "foreign": Capture("another program computes on it", process(4242, "/usr/bin/python3")),
    "foreign-hostile": Capture("one whose name is an attack", process(4242, _HOSTILE)),
    "foreign-unescaped": Capture("one whose name breaks the XML", process(4242, "a<b & </pid>\x00")),
    "foreign-silent": Capture("one without name or memory", process(4242, "[Not Found]", mib="N/A")),
    "display": Capture("a display server draws on it", process(900, "/usr/lib/xorg/Xorg", kind="G")),
    "elsewhere": Capture(
        "17 GB in use, and no process that is shown: another container's",
        field("used", "17408 MiB", inside="fb_memory_usage"),
    ),
    "desktop": Capture("1.5 GB in use, as a desktop does", field("used", "1536 MiB", inside="fb_memory_usage")),
    "own": Capture("after the run, the own process", process(77, "python3"), own=(77,), here=(77,), after=True),
    "after-foreign": Capture(
        "after the run, a process of somebody else", process(78, "train"), own=(77,), here=(77, 78), after=True
    ),
    "after-unclear": Capture(
        "after the run, in a container, the number of a process of the host",
        process(31337, "python3"),
        own=(77,),
        here=(77,),
        after=True,
    ),
    "xid-79": Capture("Xid 79 during the run", log=[xid(BEGAN + 5, 79)]),
    "xid-31": Capture("Xid 31 during the run: a fault of the program", log=[xid(BEGAN + 5, 31)]),
    "xid-earlier": Capture("Xid 63 before the run", log=[xid(10, 63), xid(11, 63)]),
    "xid-elsewhere": Capture("Xid 79 of another card", log=[xid(BEGAN + 5, 79, "0000:00:09")]),
    "other-card": Capture(
        "two cards: the one that the engine does not see is lost",
        two(lambda gpu: gpu.replace("<gpu_temp>40 C", "<gpu_temp>GPU is lost")),
    ),
    "other-card-15": Capture(
        "the same with exit code 15",
        two(lambda gpu: gpu.replace("<gpu_temp>40 C", "<gpu_temp>GPU is lost")),
        exit=15,
    ),
    "second-card": Capture(
        "two cards, both used: the second has no spare row",
        two(lambda gpu: field("remapped_row_failure", "Yes", gpu)),
        torch={"gpus": [{"uuid": UUID[4:]}, {"uuid": OTHER_UUID[4:]}]},
    ),
    "self-test": Capture(
        "a card that does not repeat one product", torch={"selfTest": {"rounds": 150, "seconds": 1.0, "distinct": [2]}}
    ),
    "self-test-full": Capture(
        "a card without memory for the self-test", torch={"selfTest": {"why": "OutOfMemoryError: CUDA out of memory"}}
    ),
    "hangs": Capture("nvidia-smi hangs, and is stopped", "", None),
    "cut-short": Capture("an answer that is cut short", H100[: len(H100) // 2]),
    "empty": Capture("no answer at all, and exit code 0", ""),
    "entities": Capture("an answer that declares entities", _BOMB),
    "no-elements": Capture("an answer that names no GPU", re.sub(r"\t<gpu id.*</gpu>", "", H100, flags=re.S)),
    "exit-3": _exit(3, "not supported"),
    "exit-4": _exit(4, "no permission"),
    "exit-6": _exit(6, "no such device, where none is", "No devices were found", devices=False),
    "exit-6-device": _exit(6, "no such device, where there is one", "No devices were found"),
    "exit-8": _exit(8, "a power cable is not attached"),
    "exit-8-whole": Capture("exit code 8 beside a whole answer", exit=8),
    "exit-15-whole": Capture("exit code 15 beside a whole answer, which names no lost GPU", exit=15),
    "exit-99-whole": Capture("an exit code that nobody knows, beside a whole answer", exit=99),
    "exit-9": _exit(9, "no driver, on a machine without GPU", _NO_DRIVER, devices=False),
    "exit-9-device": _exit(9, "no driver, beside a GPU", _NO_DRIVER),
    "exit-10": _exit(10, "an interrupt issue"),
    "exit-12": _exit(12, "no NVML"),
    "exit-13": _exit(13, "an NVML that is too old"),
}
