"""What NCCL's log tells: lines of the form that it has in the threads named beside them, of other machines."""

from __future__ import annotations

import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import support  # noqa: F401
from deterministic_ml.engines.common import nccl

# As in NVIDIA/nccl#1453 (channels, choices by number), #1197 (patterns by number), vllm-project/vllm#6201 (links).
OLDER = """\
NCCL version 2.20.5+cuda12.4
n:1:4 [0] NCCL INFO Pattern 4, crossNic 0, nChannels 12, bw 30.000000/30.000000, type NVL/PIX, sameChannels 1
n:1:4 [0] NCCL INFO  0 : GPU/0 GPU/1
n:1:4 [0] NCCL INFO Pattern 5, crossNic 0, nChannels 8, bw 40.000000/60.000000, type NVL/PIX, sameChannels 0
n:1:4 [0] NCCL INFO NVLS multicast support is not available on dev 0
n:1:4 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/IPC/read
n:1:4 [0] NCCL INFO Channel 01/0 : 0[0] -> 1[1] via P2P/IPC/read
n:1:4 [0] NCCL INFO 24 coll channels, 0 collnet channels, 0 nvls channels, 8 p2p channels, 8 p2p channels per peer
n:1:4 [0] NCCL INFO 8589934592 Bytes -> Algo 1 proto 2 time 86069.968750
n:1:4 [0] NCCL INFO 1024 Bytes -> Algo 0 proto 0 time 12.250000
"""

# The form of `ncclTopoPrintGraph` and of `src/enqueue.cc` where they tell names; links as in vllm-project/vllm#6370.
NEWER = """\
n:7:9 [{rank}] NCCL INFO NCCL version 2.27.3+cuda12.9
n:7:9 [{rank}] NCCL INFO NVLS multicast support is available on dev {rank} (NVLS_NCHANNELS 16)
n:7:9 [{rank}] NCCL INFO Pattern Ring, crossNic 0, nChannels 12, bw 20.0/20.5, type NVL/PIX, sameChannels 1
n:7:9 [{rank}] NCCL INFO Channel 00/0 : {rank}[{rank}] -> 1[1] via P2P/CUMEM
n:7:9 [{rank}] NCCL INFO 8 coll channels, 8 collnet channels, 8 nvls channels, 8 p2p channels, 8 p2p channels per peer
n:7:9 [{rank}] NCCL INFO AllReduce: 33554432 Bytes -> Algo NVLS proto SIMPLE channel{{Lo..Hi}}={{0..15}}
n:7:9 [{rank}] NCCL INFO AllReduce: 1152 Bytes -> Algo RING proto LL channel{{Lo..Hi}}={{0..0}}
n:7:9 [{rank}] NCCL INFO AllGather: 98304 Bytes -> Algo Ring proto LL128 channel{{Lo..Hi}}={{0..3}}
"""


class FactsTest(unittest.TestCase):
    def test_of_versions_that_tell_numbers(self) -> None:
        self.assertEqual(
            nccl.facts([OLDER]),
            {
                "nccl.algorithms": "RING/SIMPLE; TREE/LL",
                "nccl.channels": "24 coll, 0 collnet, 0 nvls, 8 p2p, 8 p2p per peer",
                "nccl.links": "P2P/IPC/read",
                "nccl.nvls": "not available",
                "nccl.topology": "nvls 8 x 40/60 NVL/PIX; ring 12 x 30/30 NVL/PIX",
                "nccl.version": "2.20.5+cuda12.4",
            },
        )

    def test_of_versions_that_tell_names_in_whatever_order_ranks_speak(self) -> None:
        ranks = [NEWER.format(rank=rank) for rank in range(2)]
        told = nccl.facts(ranks)
        self.assertEqual(told["nccl.algorithms"], "AllGather RING/LL128; AllReduce NVLS/SIMPLE; AllReduce RING/LL")
        self.assertEqual(told["nccl.topology"], "ring 12 x 20/20.5 NVL/PIX")
        self.assertEqual((told["nccl.nvls"], told["nccl.version"]), ("available", "2.27.3+cuda12.9"))
        backwards = ["\n".join(reversed(log.splitlines())) for log in reversed(ranks)]
        self.assertEqual(nccl.facts(backwards), told)

    def test_what_is_not_told_is_not_there_and_nothing_becomes_long(self) -> None:
        self.assertEqual(nccl.facts(["", "hello\nNCCL INFO Bootstrap : Using lo:127.0.0.1<0>\n"]), {})
        many = "".join(f"h:1:1 [0] NCCL INFO F{n}: 8 Bytes -> Algo RING proto LL x\n" for n in range(10_000))
        self.assertEqual(len(nccl.facts([many])["nccl.algorithms"]), 512)
        # Whoever writes into the log chooses no name of a fact, and no words but these.
        odd = ["AllReduce\x1b[31m: 8 Bytes -> Algo R\x00ING proto LL", "x: 8 Bytes -> Algo 99 proto 7 y"]
        self.assertEqual(nccl.facts([f"NCCL INFO {line}\n" for line in odd]), {"nccl.algorithms": "x 99/7"})


class ListenTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_is_asked_for_where_something_is_summed_and_nobody_else_listens(self) -> None:
        own: dict[str, str] = {"NCCL_DEBUG": "WARN"}
        alone: dict[str, str] = {}
        self.assertIsNone(nccl.listen(own, self.folder, 2))
        self.assertIsNone(nccl.listen(alone, self.folder, 1))
        self.assertEqual((own, alone), ({"NCCL_DEBUG": "WARN"}, {}))

    def test_tells_what_every_process_wrote(self) -> None:
        environment: dict[str, str] = {}
        listening = nccl.listen(environment, self.folder, 2)
        assert listening is not None
        for rank in range(2):
            # As NCCL fills in the host and the process.
            path = environment["NCCL_DEBUG_FILE"].replace("%h", "node").replace("%p", str(rank))
            Path(path).write_text(NEWER.format(rank=rank))
        self.assertEqual(listening.told()["nccl.nvls"], "available")
        self.assertEqual(environment["NCCL_DEBUG"], "INFO")

    def test_a_log_of_millions_of_collectives_does_not_fill_the_folder(self) -> None:
        environment: dict[str, str] = {}
        listening = nccl.listen(environment, self.folder, 2)
        assert listening is not None
        path = Path(environment["NCCL_DEBUG_FILE"].replace("%h", "node").replace("%p", "1"))
        with (
            mock.patch.object(nccl, "MAX_BYTES", 4096),
            mock.patch.object(nccl, "_SECONDS", 0.01),
            path.open("w") as log,
        ):
            log.write(NEWER.format(rank=0))
            log.flush()
            self.assertEqual(listening.told()["nccl.nvls"], "available")
            end = time.monotonic() + 30
            # As NCCL does, which keeps it open: what is cut off is a hole, and takes no room.
            while time.monotonic() < end and (log.tell() < 1 << 20 or path.stat().st_blocks * 512 > log.tell() // 2):
                log.write("x" * 4096)
                log.flush()
            self.assertLessEqual(path.stat().st_blocks * 512, log.tell() // 2)


if __name__ == "__main__":
    unittest.main()
