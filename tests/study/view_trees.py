"""A study on listeners whose voxels lie on the cortex, and what its explorer is asked."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from study_trees import merged, run_process, save_study, tiny_study

if TYPE_CHECKING:
    from brainaligner.study._view_data import RunView

TREE = {"n_voxels": [180, 160], "signal": [1.5, 1.2], "n_repeats": 3, "n_directions": 4}


def run_placed(folder: Path, checkpoint: Path) -> Path:
    """Run that study; return the folder of the run."""
    changes: dict[str, Any] = {
        "dataset": {
            "folder": None,
            "reader": "simulated",
            "simulation": {"features": "one", "tree": TREE},
        },
        "split": {"counts": [8, 2, 3]},
    }
    study = merged(tiny_study(checkpoint, folder), changes)
    study["dataset"].pop("folder", None)
    done = run_process("run", save_study(folder / "study.yaml", study), "--out", folder / "out")
    assert done.code == 0, done.err
    return folder / "out" / "tiny"


def asked(port: int, path: str, *, host: str = "127.0.0.1", **query: Any) -> tuple[int, bytes]:
    """Status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    address = f"{path}?{urlencode(query, doseq=True)}" if query else path
    connection.request("GET", address, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def stories_of(view: RunView, subject: str, group: str) -> list[str]:
    """Stories of a group of scores."""
    groups = view.about()["subjects"][subject]["groups"]
    return next(one["stories"] for one in groups if one["name"] == group)
