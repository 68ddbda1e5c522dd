"""Files that say where a study's workers run."""

from __future__ import annotations

from pathlib import Path

TWO = "kind: local\ncpu: {workers: 2}\n"
JOBS = {"memory": "4GB", "walltime": "01:00:00"}


def save_cluster(folder: Path, text: str = TWO) -> Path:
    """Write cluster.yaml."""
    path = folder / "cluster.yaml"
    path.write_text(text, encoding="utf-8")
    return path
