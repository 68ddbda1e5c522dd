"""A script that `_pycortex` runs in a process of its own; the only place that imports pycortex."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def save_pixels(folder: Path, subject: str, transform: str, height: int) -> None:
    """Write ``pixels.npz``: the flatmap's mask, and a sparse matrix (pixel, voxel)."""
    import cortex
    from cortex.quickflat.utils import get_flatcache, get_flatmask

    cortex.db.filestore = str(folder / "db")
    mask, _ = get_flatmask(subject, height=height)
    weights = get_flatcache(subject, transform, height=height)
    np.savez(
        folder / "pixels.npz",
        mask=mask,
        data=weights.data,
        indices=weights.indices,
        indptr=weights.indptr,
        shape=np.array(weights.shape),
    )


if __name__ == "__main__":
    save_pixels(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
