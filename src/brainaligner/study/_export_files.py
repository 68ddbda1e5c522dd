"""A tuned checkpoint of the store, copied into a folder that is shared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.data import file_digest
from brainaligner.study._disk import process_tag, reading_artifact, writing_to
from brainaligner.study._store import flush_folder, is_abandoned
from brainaligner.text import ModelInfo, load_language_model

WEIGHTS = ".safetensors"
SHARED = (".json", WEIGHTS, ".txt", ".model", ".jinja")
"""Endings of what a checkpoint may hold; nothing that is unpickled is among them."""

HEADS = {
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForCausalLM": "AutoModelForCausalLM",
    "LMHeadModel": "AutoModelForCausalLM",
}
"""Classes that load a checkpoint with its head, by the end of its architecture's name."""

_CONFIGS = ("config.json", "tokenizer_config.json")
_OF_THIS_MACHINE = ("_name_or_path", "name_or_path", "is_local", "local_files_only")
_UNMERGED = ("lora_", "base_layer.", "modules_to_save.")


def checked_checkpoint(folder: Path) -> ModelInfo:
    """Load a checkpoint of the store once, as any reader of the export will.

    Raises
    ------
    BrainAlignerError
        If it is not there or damaged, holds pickled files, or its LoRA was not merged.
    """
    with reading_artifact(folder / "config.json"):
        names = [path.name for path in checkpoint_files(folder)]
        strange = [name for name in names if not name.endswith(SHARED)]
        if strange or not any(name.endswith(WEIGHTS) for name in names):
            raise BrainAlignerError(
                f"{folder}: {strange[0] if strange else 'no safetensors file'}: a checkpoint of "
                "the store holds safetensors, configuration and tokenizer. Run the study again."
            )
    info = load_language_model(str(folder)).info
    unmerged = [name for name in _tensor_names(folder) if any(u in name for u in _UNMERGED)]
    if unmerged:
        raise BrainAlignerError(f"{folder}: {unmerged[0]}: low-rank updates are not merged.")
    return info


def checkpoint_files(folder: Path) -> list[Path]:
    """Files of a checkpoint, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_file())


def _tensor_names(folder: Path) -> Iterator[str]:
    from safetensors import safe_open

    for path in folder.glob(f"*{WEIGHTS}"):
        with safe_open(path, framework="pt") as tensors:
            yield from tensors.keys()


def head_class(folder: Path) -> str | None:
    """Class of transformers that loads a checkpoint with its head; None where it has none."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = config.get("architectures") or [""]
    return next((kind for end, kind in HEADS.items() if names[0].endswith(end)), None)


def copy_checkpoint(source: Path, target: Path) -> dict[str, str]:
    """Copy a checkpoint, byte for byte but for what configurations say of this machine.

    Returns
    -------
    dict of name to str
        SHA-256 of each file of weights.

    Raises
    ------
    BrainAlignerError
        If weights came out otherwise than they are in the store.
    """
    digests = {}
    for path in checkpoint_files(source):
        copy = target / path.name
        shutil.copyfile(path, copy)
        if path.name in _CONFIGS:
            _forget_machine(copy)
        if path.suffix == WEIGHTS:
            digests[path.name] = file_digest(copy)
            if digests[path.name] != file_digest(path):
                raise BrainAlignerError(f"{copy}: not what was copied. Check this disk.")
    return digests


def _forget_machine(path: Path) -> None:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in content.items() if name not in _OF_THIS_MACHINE}
    if kept != content:
        path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def check_new_folder(folder: Path) -> None:
    """Refuse a place that is taken.

    Raises
    ------
    InputError
        If something is there but an empty folder, or it cannot be looked at.
    """
    with writing_to(folder):
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken or folder.is_symlink():
        raise InputError(
            str(folder),
            got="something that is already there",
            wanted="a new or empty folder",
            do="Choose another folder.",
        )


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, beside `folder`, that takes its place once all is written.

    A process that dies leaves nothing under that name; what it left beside it goes with the next
    one.
    """
    target = folder.absolute()
    beside = target.with_name(f".{target.name}.exporting")
    temporary = beside / f"{process_tag()}.export"
    with writing_to(folder):
        temporary.mkdir(parents=True)
        for leftover in beside.iterdir():
            if is_abandoned(leftover):
                shutil.rmtree(leftover, ignore_errors=True)
        try:
            yield temporary
            flush_folder(temporary)
            if target.exists():
                target.rmdir()  # it is empty
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            with suppress(OSError):  # another process may export beside this one
                beside.rmdir()
