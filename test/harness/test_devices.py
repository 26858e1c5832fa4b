"""What a GPU is, beside what torch tells of it."""

from __future__ import annotations

import unittest
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import support  # noqa: F401
from captures import CAPTURES, H100, OTHER_UUID, UUID, Capture, field, machine_of, two
from deterministic_ml.harness.devices import Devices, look, matrix_of, uuid_hash
from deterministic_ml.harness.fingerprint import _gpu
from deterministic_ml.harness.health import Watch

# As nvidia-smi prints it: the header is underlined, and NICs and CPUs have columns too.
FOUR = """\
\t\x1b[4mGPU0\tGPU1\tGPU2\tGPU3\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m
GPU0\t X \tNV12\tSYS\tSYS\tPXB\t0-15\t0\t\tN/A
GPU1\tNV12\t X \tSYS\tSYS\tPXB\t0-15\t0\t\tN/A
GPU2\tSYS\tSYS\t X \tNV12\tSYS\t16-31\t1\t\tN/A
GPU3\tSYS\tSYS\tNV12\t X \tSYS\t16-31\t1\t\tN/A
NIC0\tPXB\tPXB\tSYS\tSYS\t X \t\t\t\t

Legend:

  X    = Self
"""
NVIDIA = {"name": "NVIDIA H100 80GB HBM3", "vendor": "nvidia"}


def cards(*uuids: str) -> Devices:
    return Devices(order=[uuid_hash(uuid) for uuid in uuids], matrix=FOUR)


class CardTest(unittest.TestCase):
    def test_a_real_h100_tells_its_bios(self) -> None:
        root = ET.fromstring(
            "<x" + (CAPTURES["h100"].xml or "").partition("<nvidia_smi_log")[2].replace("</nvidia_smi_log>", "</x>")
        )
        hashed = uuid_hash(root.findtext("gpu/uuid") or "") or ""
        found = look(root, self.fail)
        told = {"vendor": "nvidia", "vbios": "96.00.DA.00.0C", "mig": "none"}
        self.assertEqual(found.of(NVIDIA, hashed), told)
        self.assertEqual(found.topology([hashed]), "none", "one card is linked to nothing, and nobody is asked")

    def test_it_comes_with_the_answer_about_its_health(self) -> None:
        watch = Watch(machine_of(CAPTURES["h100"]))
        watch.before()
        self.assertEqual(list(watch.devices.bios.values()), ["96.00.DA.00.0C"])

    def test_a_slice_is_named_by_its_profile_and_has_the_bios_of_the_one_card(self) -> None:
        one = Devices({"a": "96.00"}, ["a"])
        gpu = {**NVIDIA, "name": "NVIDIA H100 80GB HBM3 MIG 1g.10gb"}
        self.assertEqual(one.of(gpu, "b"), {"vendor": "nvidia", "vbios": "96.00", "mig": "1g.10gb"})
        self.assertEqual(one.of({**gpu, "name": "NVIDIA A100 MIG 1c.3g.20gb+me"}, "b")["mig"], "1c.3g.20gb+me")
        two = Devices({"a": "96.00", "c": "95.00"}, ["a", "c"])
        self.assertEqual(two.of(gpu, "b")["vbios"], "unknown", "of which of the two is not known")

    def test_what_is_not_told_is_unknown(self) -> None:
        self.assertEqual(Devices().of(NVIDIA, "a"), {"vendor": "nvidia", "vbios": "unknown", "mig": "none"})
        root = ET.fromstring("<x><gpu><uuid>GPU-1</uuid><vbios_version>N/A</vbios_version></gpu></x>")
        self.assertEqual(look(root, self.fail).bios, {})

    def test_of_another_vendor_nothing_is_taken_from_nvidia_smi(self) -> None:
        amd: dict[str, Any] = {"name": "AMD Instinct MI300X", "vendor": "amd", "pci": "../../../etc/passwd\0"}
        told = {"vendor": "amd", "vbios": "unknown", "mig": "none"}
        self.assertEqual(Devices({"a": "96.00"}, ["a"]).of(amd, "a"), told)


class WithoutTorchTest(unittest.TestCase):
    """A program in JAX or of no framework brings no torch, and its machine is no CPU for that."""

    def gpus(self, capture: Capture, listed: str | None = None) -> list[dict[str, Any]]:
        watch = Watch(machine_of(capture), listed)
        health = watch.before()
        return [_gpu(gpu, watch.devices) for gpu in watch.gpus({}, health)]

    def names(self, capture: Capture, listed: str | None) -> list[str]:
        return [gpu["name"] for gpu in self.gpus(capture, listed)]

    def test_a_real_h100_is_named_by_nvidia_smi(self) -> None:
        (told,) = self.gpus(CAPTURES["h100"])
        self.assertEqual(told["name"], "NVIDIA H100 80GB HBM3")
        self.assertEqual([told["vendor"], told["computeCapability"]], ["nvidia", "9.0"])
        self.assertEqual([told["memoryBytes"], told["uuidHash"]], [81559 * 2**20, uuid_hash(UUID)])
        self.assertEqual(told["smCount"], "unknown", "which nvidia-smi does not tell")

    def test_of_several_cards_those_count_that_the_process_may_use(self) -> None:
        h100 = "NVIDIA H100 80GB HBM3"
        mixed = Capture("", xml=two(lambda card: card.replace(h100, "NVIDIA L4")), capability="9.0\n8.9\n")
        self.assertEqual(self.names(mixed, None), [h100, "NVIDIA L4"])
        self.assertEqual(self.names(mixed, "1,0"), ["NVIDIA L4", h100])
        self.assertEqual(self.names(mixed, OTHER_UUID[:12]), ["NVIDIA L4"])
        self.assertEqual(self.names(mixed, "0,7,1"), [h100], "CUDA ends the list at what it does not know")
        for none in ("", "-1", "NoDevFiles"):
            self.assertEqual(self.names(mixed, none), [], none)
        self.assertEqual([gpu["computeCapability"] for gpu in self.gpus(mixed)], ["9.0", "8.9"])
        short = replace(mixed, capability="9.0\n")
        self.assertEqual({gpu["computeCapability"] for gpu in self.gpus(short)}, {"unknown"}, "of which one it is")

    def test_a_card_that_is_cut_into_slices_is_no_whole_one(self) -> None:
        cut = Capture("", xml=field("current_mig", "Enabled"))
        (told,) = self.gpus(cut, "MIG-11111111")
        self.assertEqual([told["name"], told["mig"]], ["NVIDIA H100 80GB HBM3 MIG", "unknown"])
        self.assertEqual(told["memoryBytes"], "unknown")

    def test_what_nobody_can_name_is_no_machine_without_a_gpu(self) -> None:
        for why, capture in {
            "no nvidia-smi beside a device": Capture("", xml=None),
            "an answer cut short": Capture("", xml=H100[:4000]),
        }.items():
            (told,) = self.gpus(capture)
            self.assertEqual([told["name"], told["computeCapability"]], ["unknown", "unknown"], why)
        self.assertEqual(self.gpus(Capture("", xml=None, devices=False)), [])

    def test_where_the_process_is_given_none_nobody_asks_how_they_are(self) -> None:
        for listed in ("", "-1"):
            watch = Watch(machine_of(CAPTURES["h100"]), listed)
            told = [watch.before(), watch.used(watch.before(), {"cuda": "13.0", "gpus": []}, []), watch.after()]
            self.assertEqual([reading["state"] for reading in told], ["no-gpu"] * 3, listed)


class TopologyTest(unittest.TestCase):
    def hashes(self, *uuids: str) -> list[str]:
        return [uuid_hash(uuid) or "" for uuid in uuids]

    def test_is_that_of_the_cards_that_are_used_by_their_place_among_them(self) -> None:
        four = cards("0", "1", "2", "3")
        self.assertEqual(four.topology(self.hashes("0", "1")), "NV12: all")
        self.assertEqual(four.topology(self.hashes("2", "3")), "NV12: all", "another pair of the same kind")
        self.assertEqual(four.topology(self.hashes("0", "2", "3")), "NV12: 1-2; SYS: 0-1, 0-2")

    def test_is_unknown_where_it_is_not_told(self) -> None:
        self.assertEqual(cards("0", "1").topology(self.hashes("0", "9")), "unknown")
        for matrix in ("", "GPU0", "\tGPU0\tGPU1\nGPU0\t X", "\tGPU0\tGPU1\nGPU0\t X \tNV1\n"):
            told = replace(cards("0", "1"), matrix=matrix).topology(self.hashes("0", "1"))
            self.assertEqual(told, "unknown", matrix)

    def test_of_many_kinds_of_links_is_counted(self) -> None:
        names = [f"GPU{n}" for n in range(16)]
        rows = [[name, *("PIX" if (a + b) % 2 else "SYS" for b in range(16))] for a, name in enumerate(names)]
        matrix = "\n".join("\t".join(row) for row in [["", *names], *rows])
        many = replace(cards(*map(str, range(16))), matrix=matrix)
        self.assertEqual(many.topology(self.hashes(*map(str, range(16)))), "PIX: 64; SYS: 56")

    def test_has_no_columns_of_anything_but_gpus(self) -> None:
        self.assertEqual(matrix_of(FOUR)[0], ["X", "NV12", "SYS", "SYS"])
        hostile = matrix_of("\tGPU0\tGPU1\nGPU0\t X \t\x1b]0;x\x07NV\u202e1\n")
        self.assertEqual(hostile, [["X", "]0;xNV1"]])


if __name__ == "__main__":
    unittest.main()
