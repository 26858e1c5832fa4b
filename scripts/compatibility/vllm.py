"""What several versions of vLLM have of what the harness uses, read from their wheels without importing them.

`python3 scripts/compatibility/vllm.py` writes the table in docs/compatibility.md. Of a wheel of hundreds of megabytes
only the directory and the files that are looked at are read, by range and with pip's own client. Static: a name that is
there may still do something else.
"""

from __future__ import annotations

import ast
import datetime
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pip._internal.models.index import PyPI
from pip._internal.network.lazy_wheel import LazyZipOverHTTP
from pip._internal.network.session import PipSession

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs/compatibility.md"
BEGIN, END = "<!-- vllm -->", "<!-- /vllm -->"

# The first that the harness is for.
FIRST = (0, 20)
WHEEL = re.compile(r"vllm-(\d+)\.(\d+)\.(\d+)-\S*x86_64\.whl$")


class Wheel:
    """Modules of a wheel, parsed when they are asked for."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = set(archive.namelist())
        self._parsed: dict[str, ast.Module | None] = {}

    def module(self, name: str) -> ast.Module | None:
        if name not in self._parsed:
            base = name.replace(".", "/")
            path = next((path for path in (f"{base}.py", f"{base}/__init__.py") if path in self._names), None)
            self._parsed[name] = None if path is None else ast.parse(self._archive.read(path))
        return self._parsed[name]


def defined(tree: ast.AST, name: str) -> bool:
    """In a module: defined, assigned, or imported."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return True
        if isinstance(node, (ast.Import, ast.ImportFrom)) and any((a.asname or a.name) == name for a in node.names):
            return True
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return True
    return False


def class_of(tree: ast.Module, name: str) -> ast.ClassDef | None:
    return next((node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name), None)


def members(cls: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(cls):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        # What a constructor sets.
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


Look = Callable[[Wheel], "str | None"]


@dataclass(frozen=True)
class Use:
    """Something that the harness uses."""

    # What a user has of it.
    what: str
    name: str
    look: Look
    # What is done where a version does not have it.
    without: str


def in_modules(name: str, *modules: str) -> Look:
    def look(wheel: Wheel) -> str | None:
        trees = ((module, wheel.module(module)) for module in modules)
        return next((module for module, tree in trees if tree is not None and defined(tree, name)), None)

    return look


def of_class(cls: str, names: tuple[str, ...], *modules: str) -> Look:
    """Where the class has all of these; bases in the same module count."""

    def look(wheel: Wheel) -> str | None:
        for module in modules:
            tree = wheel.module(module)
            found = None if tree is None else class_of(tree, cls)
            if tree is None or found is None:
                continue
            known = set(members(found))
            for base in found.bases:
                if isinstance(base, ast.Name) and (parent := class_of(tree, base.id)) is not None:
                    known |= set(members(parent))
                elif isinstance(base, ast.Name) and (elsewhere := _imported(wheel, tree, base.id)) is not None:
                    known |= set(members(elsewhere))
            if all(name in known for name in names):
                return module
        return None

    return look


def _imported(wheel: Wheel, tree: ast.Module, name: str) -> ast.ClassDef | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and any((a.asname or a.name) == name for a in node.names):
            other = wheel.module(node.module)
            return None if other is None else class_of(other, name)
    return None


def variable(name: str) -> Look:
    """A key of vllm.envs.environment_variables."""

    def look(wheel: Wheel) -> str | None:
        tree = wheel.module("vllm.envs")
        if tree is None:
            return None
        keys = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        return "vllm.envs" if name in keys else None

    return look


def any_of(*looks: Look) -> Look:
    return lambda wheel: next((found for look in looks if (found := look(wheel)) is not None), None)


def _listed(name: str) -> tuple[str, ...]:
    """Modules that the harness looks into, from its own code."""
    tree = ast.parse((REPOSITORY / "docker/harness/deterministic_ml/engines/vllm/served.py").read_text())
    value = next(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets)
    )
    return tuple(
        node.value for node in ast.walk(value) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


ARGUMENTS = ("vllm.engine.arg_utils",)
LLM = ("vllm.entrypoints.llm", "vllm.entrypoints.offline_utils")
DROPPED = "left out, and the record says so"
FAILS = "no run: the load fails, with a word of vLLM's"

USES = (
    Use("a start", "LLM.enqueue", of_class("LLM", ("enqueue",), *LLM), FAILS),
    Use("a start", "LLM.reset_prefix_cache", of_class("LLM", ("reset_prefix_cache",), *LLM), FAILS),
    Use(
        "a start",
        "EngineArgs.create_engine_config",
        of_class("EngineArgs", ("create_engine_config",), *ARGUMENTS),
        FAILS,
    ),
    Use(
        "a start",
        "EngineArgs.worker_extension_cls",
        of_class("EngineArgs", ("worker_extension_cls",), *ARGUMENTS),
        FAILS,
    ),
    Use(
        "a start",
        "LLM.collective_rpc",
        of_class("LLM", ("collective_rpc",), *LLM),
        "workers tell nothing: `unknown` in the record, no trace",
    ),
    *(
        Use("deterministic defaults", f"EngineArgs.{name}", of_class("EngineArgs", (name,), *ARGUMENTS), DROPPED)
        for name in (
            "seed",
            "generation_config",
            "enforce_eager",
            "enable_prefix_caching",
            "async_scheduling",
            "enable_flashinfer_autotune",
            "disable_log_stats",
            "kv_cache_memory_bytes",
            "logprobs_mode",
        )
    ),
    *(
        Use("deterministic defaults", name, variable(name), "does nothing, and the record says so")
        for name in (
            "VLLM_ENABLE_V1_MULTIPROCESSING",
            "VLLM_BATCH_INVARIANT",
            "VLLM_TRITON_FORCE_FIRST_CONFIG",
            "VLLM_ENABLE_INDUCTOR_MAX_AUTOTUNE",
            "VLLM_USE_FLASHINFER_SAMPLER",
            "VLLM_RPC_BASE_PATH",
        )
    ),
    Use(
        "force",
        "AdapterLogitsProcessor",
        in_modules("AdapterLogitsProcessor", "vllm.v1.sample.logits_processor"),
        "force is unmeasured",
    ),
    Use(
        "force on Model Runner V2",
        "Sampler.__call__",
        of_class("Sampler", ("__call__",), "vllm.v1.worker.gpu.sample.sampler"),
        "force is unmeasured there",
    ),
    Use(
        "witnesses",
        "Scheduler.schedule",
        of_class("Scheduler", ("schedule", "requests"), "vllm.v1.core.sched.scheduler"),
        "relations that need the schedule are unmeasured",
    ),
    Use(
        "witnesses",
        "LLMEngine.get_metrics",
        any_of(
            of_class("LLMEngine", ("get_metrics",), "vllm.v1.engine.llm_engine"),
            of_class("LLM", ("get_metrics",), *LLM),
        ),
        "relations that need counters are unmeasured",
    ),
    Use(
        "batch invariance",
        "_batch_invariant_MODE",
        in_modules(
            "_batch_invariant_MODE",
            "vllm.model_executor.layers.batch_invariant",
            "vllm.model_executor.determinism.batch_invariant",
        ),
        "whether it is in force stays `unknown`",
    ),
    Use(
        "structured outputs",
        "StructuredOutputsParams",
        in_modules("StructuredOutputsParams", "vllm.sampling_params"),
        "such a suite is refused",
    ),
    Use("adapters", "LoRARequest", in_modules("LoRARequest", "vllm.lora.request"), "such a suite is refused"),
    Use(
        "`engine.serve`",
        "FlexibleArgumentParser",
        in_modules("FlexibleArgumentParser", *_listed("_PARSERS")),
        "such a suite is refused",
    ),
    Use(
        "`engine.serve`",
        "make_arg_parser",
        in_modules("make_arg_parser", *_listed("_SERVERS")),
        "such a suite is refused",
    ),
    Use(
        "`engine.serve`",
        "load_chat_template",
        in_modules("load_chat_template", *_listed("_TEMPLATES")),
        "a template in a file is refused",
    ),
    Use(
        "known changes",
        "DefaultModelLoader",
        of_class("DefaultModelLoader", ("load_weights",), "vllm.model_executor.model_loader.default_loader"),
        "a bit of the weights cannot be turned over",
    ),
)


def versions(session: PipSession) -> dict[str, str]:
    """The newest of each minor version -> the address of its wheel for this kind of machine."""
    answer = session.get(f"{PyPI.simple_url}/vllm/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    answer.raise_for_status()
    newest: dict[tuple[int, int], tuple[int, str]] = {}
    for file in answer.json()["files"]:
        found = WHEEL.fullmatch(file["filename"])
        if found is None or file.get("yanked"):
            continue
        major, minor, patch = map(int, found.groups())
        if (major, minor) >= FIRST and patch >= newest.get((major, minor), (-1, ""))[0]:
            newest[major, minor] = patch, file["url"]
    return {f"{major}.{minor}.{patch}": url for (major, minor), (patch, url) in sorted(newest.items())}


def main() -> int:
    session = PipSession(retries=3)
    found: dict[str, dict[str, str | None]] = {}
    for version, url in versions(session).items():
        with LazyZipOverHTTP(url, session) as file, zipfile.ZipFile(file) as archive:  # type: ignore[arg-type]
            wheel = Wheel(archive)
            found[version] = {use.name: use.look(wheel) for use in USES}
        print(version, file=sys.stderr)
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(found)}\n{END}{after}", encoding="utf-8")
    return 0


def table(found: dict[str, dict[str, str | None]]) -> str:
    """Versions next to each other that have the same are one column."""
    columns: list[list[str]] = []
    for version in found:
        if columns and bool_row(found[columns[-1][-1]]) == bool_row(found[version]):
            columns[-1].append(version)
        else:
            columns.append([version])
    heads = [column[0] if len(column) == 1 else f"{column[0]} to {column[-1]}" for column in columns]
    lines = [
        f"Read on {datetime.date.today().isoformat()} from the wheels of {', '.join(found)}.",
        "",
        f"| what for | name | {' | '.join(heads)} | without it |",
        f"| --- | --- | {' | '.join('---' for _ in heads)} | --- |",
    ]
    for use in USES:
        cells = ["yes" if found[column[0]][use.name] else "**no**" for column in columns]
        lines.append(f"| {use.what} | `{use.name}` | {' | '.join(cells)} | {use.without} |")
    return "\n".join(lines) + "\n"


def bool_row(row: dict[str, str | None]) -> dict[str, bool]:
    return {name: where is not None for name, where in row.items()}


if __name__ == "__main__":
    sys.exit(main())
