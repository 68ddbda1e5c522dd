"""What this machine has: versions, devices, memory, disk, datasets and models."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

import psutil

from brainaligner import __version__
from brainaligner.core import BrainAlignerError
from brainaligner.data import READERS, open_dataset
from brainaligner.study._disk import nearest_existing
from brainaligner.study._options import devices
from brainaligner.study._prepare import DATA_VARIABLE
from brainaligner.study._words import model_words
from brainaligner.text import model_info

_LIBRARIES = (
    "numpy",
    "scipy",
    "torch",
    "transformers",
    "himalaya",
    "scikit-learn",
    "h5py",
    "nibabel",
    "nilearn",
    "matplotlib",
)
_GIB = 2**30


def software_versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that can change a number."""
    versions = {"python": platform.python_version(), "brainaligner": __version__}
    return versions | {name: metadata.version(name) for name in _LIBRARIES}


def examine(*, data: str | None, out: Path) -> list[tuple[str, str, str]]:
    """Look at the machine; rows of (topic, verdict, what was found).

    Parameters
    ----------
    data : str, optional
        Folder given by the user; otherwise ``BRAINALIGNER_DATA`` is looked at.
    out : Path
        Folder that results would go to.
    """
    rows = [(name, "ok", version) for name, version in software_versions().items()]
    rows += [("devices", "ok", ", ".join(_device_names())), _threads(), _memory(), _disk(out)]
    rows.append(_model("embedded"))
    return rows + _datasets(data or os.environ.get(DATA_VARIABLE))


def _device_names() -> list[str]:
    import torch

    return [
        f"{name} ({torch.cuda.get_device_name(name)})" if name.startswith("cuda") else name
        for name in devices()
    ]


def _threads() -> tuple[str, str, str]:
    import torch

    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return ("threads", "ok", f"{torch.get_num_threads()} used by torch, {cores} cores usable")


def _memory() -> tuple[str, str, str]:
    memory = psutil.virtual_memory()
    verdict = "ok" if memory.available > 3 * _GIB else "warn"
    free, total = memory.available / _GIB, memory.total / _GIB
    return ("memory", verdict, f"{free:.1f} GiB free of {total:.1f} GiB")


def _disk(out: Path) -> tuple[str, str, str]:
    existing = nearest_existing(out)
    free = shutil.disk_usage(existing).free / _GIB
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    verdict = "fail" if not writable else "ok" if free > 5 else "warn"
    return (
        "disk",
        verdict,
        f"{free:.1f} GiB free for {out}" + ("" if writable else ", which cannot be written"),
    )


def _model(name: str) -> tuple[str, str, str]:
    try:
        return (f"model {name}", "ok", model_words(model_info(name)))
    except BrainAlignerError as error:
        return (f"model {name}", "fail", str(error))


def _datasets(folder: str | None) -> list[tuple[str, str, str]]:
    if not folder:
        return [("datasets", "note", f"no folder given; use --data or {DATA_VARIABLE}")]
    rows = []
    for reader in READERS:
        try:
            dataset = open_dataset(reader, Path(folder).expanduser())
            n_stories = len({s for subject in dataset.subjects for s in dataset.stories(subject)})
        except BrainAlignerError:
            continue
        rows.append(
            (f"dataset {reader}", "ok", f"{len(dataset.subjects)} subjects, {n_stories} stories")
        )
    return rows or [("datasets", "warn", f"no reader recognises {folder}")]
