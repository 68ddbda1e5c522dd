"""The pixels of a flatmap as pycortex lays them out, from a process of its own.

Importing pycortex writes ``options.cfg`` into the user's configuration, reads a cache folder
from there, and works on one global filestore. So it runs in another process, whose
configuration, filestore and cache lie in one temporary folder.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from brainaligner.core import InputError
from brainaligner.report._flat_pixels import HEIGHT, FlatPixels

SUBJECT, TRANSFORM = "subject", "functional"
_CHILD = Path(__file__).with_name("_pycortex_child.py")


def pycortex_version() -> str | None:
    """Version of the installed pycortex; None where there is none."""
    try:
        return version("pycortex")
    except PackageNotFoundError:
        return None


def pycortex_pixels(
    files: Mapping[str, Path], volume_index: Int64[np.ndarray, "target"], *, height: int = HEIGHT
) -> FlatPixels:
    """What each pixel of a subject's flatmap shows, according to pycortex.

    pycortex takes 32 places through the thickness of the cortex under each pixel, and the
    voxel that each lies in: `cortex.quickshow` with its own defaults.

    Parameters
    ----------
    files : mapping of str to Path
        Surfaces ``flat``, ``pia`` and ``wm`` and the transform ``functional``, by their place
        in a subject's folder of the filestore. They are copied; nothing is written beside them.
    volume_index : int64 array, shape (target,)
        Place of each target's voxel in the volume, in C order over (z, y, x).
    height : int
        Of the picture, in pixels.

    Raises
    ------
    InputError
        If pycortex is not installed, or cannot draw this subject (what it said is given).
    """
    if pycortex_version() is None:
        raise InputError(
            "pycortex",
            got="not installed",
            wanted="pycortex, which builds with a C compiler",
            do="pip install 'brainaligner[flatmap]'",
        )
    with tempfile.TemporaryDirectory(prefix="brainaligner-pycortex-") as name:
        folder = Path(name)
        for place, path in files.items():
            target = folder / "db" / SUBJECT / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        _run_child(folder, height)
        with np.load(folder / "pixels.npz", allow_pickle=False) as arrays:
            return _pixels({name: arrays[name] for name in arrays.files}, volume_index)


def _run_child(folder: Path, height: int) -> None:
    command = [sys.executable, "-P", str(_CHILD), str(folder), SUBJECT, TRANSFORM, str(height)]
    done = subprocess.run(
        command, env=_environment(folder), capture_output=True, text=True, errors="replace"
    )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise InputError(
            f"pycortex {pycortex_version()}",
            got=f"an error: {said[-1].strip() if said else f'exit code {done.returncode}'}",
            wanted="the pixels of a flatmap",
            do="Leave pycortex out with --by flat.",
        )


def _environment(folder: Path) -> dict[str, str]:
    """The user's, with the configuration folders of all systems inside `folder`."""
    home = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA")}
    packages = site.getuserbase()  # follows HOME otherwise
    return {**os.environ, **home, "PYTHONUSERBASE": packages, "MPLBACKEND": "Agg"}


def _pixels(
    arrays: Mapping[str, np.ndarray], volume_index: Int64[np.ndarray, "target"]
) -> FlatPixels:
    """From pycortex's order of pixels (x, then y upwards) to rows from the top."""
    from scipy.sparse import csr_array

    parts = (arrays["data"], arrays["indices"], arrays["indptr"])
    weights = csr_array(parts, shape=tuple(arrays["shape"].tolist()))
    mask = arrays["mask"]
    order = np.full(mask.shape, -1, dtype=np.int64)
    order[mask] = np.arange(np.count_nonzero(mask))
    order = order.T[::-1]
    inside = order >= 0
    return FlatPixels(inside, csr_array(weights[order[inside]][:, volume_index]))
