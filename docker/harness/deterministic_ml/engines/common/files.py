"""Changes what lies beside the weights, in a private view of the model's folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...harness.errors import HarnessError

# As an expression: around a block, Jinja as engines use it drops spaces of the template's text.
_SPACE = "{{ ' ' }}"

# The commonest English word after a space, as byte-level and as SentencePiece's vocabularies write it.
_WORDS = ("Ġthe", "▁the")
_SENTENCE = "It is the first of the month."


@dataclass(frozen=True)
class Loaded:
    """What an engine made of a model's files."""

    tokenizer: Any
    # The configuration as text.
    config: str


@dataclass(frozen=True)
class Edit:
    # File of the model -> its new content.
    files: Mapping[str, str]
    words: str
    # Whether it reached the engine.
    reached: Callable[[Loaded], bool]

    def told(self, loaded: Loaded) -> str:
        if not self.reached(loaded):
            raise HarnessError("engine-failed", f"the engine does not use what was perturbed ({self.words})")
        return self.words


def overlay(model: Path, edit: Edit, scratch: Path) -> Path:
    """A folder that looks like the model's, but for the edited files."""
    folder = scratch / "perturbed-model"
    folder.mkdir()
    for path in model.iterdir():
        if path.name not in edit.files:
            (folder / path.name).symlink_to(path.absolute())
    for name, content in edit.files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def chat_template_space(model: Path) -> Edit:
    """One space before all that the chat template renders, wherever a model keeps it."""
    files = {}
    template = model / "chat_template.jinja"
    if template.is_file():
        files[template.name] = _SPACE + template.read_text(encoding="utf-8")
    for name in ("tokenizer_config.json", "chat_template.json"):
        content = _read(model / name)
        inline = content.get("chat_template")
        if inline:
            if isinstance(inline, str):
                content["chat_template"] = _SPACE + inline
            else:
                content["chat_template"] = [{**named, "template": _SPACE + named["template"]} for named in inline]
            files[name] = json.dumps(content)
    if not files:
        raise HarnessError("engine-failed", f"{model} has no chat template to perturb")
    words = f"{' and '.join(files)}: a space before all that is rendered"
    return Edit(files, words, lambda loaded: _SPACE in str(getattr(loaded.tokenizer, "chat_template", None)))


def tokenizer_merge(model: Path) -> Edit:
    """Takes away the merge that makes the commonest word: it falls into two tokens."""
    content = _read(model / "tokenizer.json")
    bpe = content.get("model", {})
    rules = bpe.get("merges") or []
    made = {_result(rule) for rule in rules}
    word = next((word for word in _WORDS if word in made), None)
    if word is None:
        cause = f"{model} has no tokenizer.json with a merge that makes {' or '.join(_WORDS)}"
        raise HarnessError("engine-failed", f"{cause}: there is nothing to perturb")
    # Vocabularies from SentencePiece list every way to a word.
    bpe["merges"] = [rule for rule in rules if _result(rule) != word]
    # Otherwise a word of the vocabulary would be taken whole, whatever the merges.
    bpe["ignore_merges"] = False
    words = f"tokenizer.json: without the merge that makes `{word}`, {len(rules) - len(bpe['merges'])} of {len(rules)}"
    token = bpe["vocab"][word]
    return Edit(
        {"tokenizer.json": json.dumps(content, ensure_ascii=False)},
        words,
        lambda loaded: token not in loaded.tokenizer.encode(_SENTENCE),
    )


def rope_theta(model: Path) -> Edit:
    """The base of the rotary embedding +0.1 %, wherever the configuration keeps it."""
    content = _read(model / "config.json")
    holders = [content, *(content.get(name) or {} for name in ("rope_parameters", "rope_scaling", "text_config"))]
    found = [holder for holder in holders if isinstance(holder.get("rope_theta"), (int, float))]
    if not found:
        raise HarnessError("engine-failed", f"{model}/config.json names no rope_theta: there is nothing to perturb")
    before = found[0]["rope_theta"]
    after = before * 1.001
    for holder in found:
        holder["rope_theta"] = after

    words = f"config.json: rope_theta {before} → {after}"
    return Edit({"config.json": json.dumps(content)}, words, lambda loaded: str(after) in loaded.config)


def file_times(model: Path) -> Edit:
    """Every small file written anew, with the same content: what a fresh checkout does."""
    names = sorted(path.name for path in model.iterdir() if path.suffix in (".json", ".jinja", ".txt"))
    files = {name: (model / name).read_text(encoding="utf-8") for name in names}
    return Edit(files, f"the same content, written anew: {', '.join(names)}", lambda _: True)


EDITS: Mapping[str, Callable[[Path], Edit]] = {
    "chat-template-space": chat_template_space,
    "tokenizer-merge": tokenizer_merge,
    "rope-theta": rope_theta,
    "file-times": file_times,
}


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return content


def _result(rule: str | list[str]) -> str:
    return "".join(rule.split(" ") if isinstance(rule, str) else rule)
