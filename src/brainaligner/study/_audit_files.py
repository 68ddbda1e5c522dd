"""Whether the files of a run's folder are what the run wrote, and hold the scores of the store."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from brainaligner.evaluation import Fault, Unproven
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_witness import Found, artifact
from brainaligner.study._disk import read_json, read_npz
from brainaligner.study._outputs import FILES
from brainaligner.study._record import read_run
from brainaligner.study._scoring import base_name
from brainaligner.study._store import Store

_ROUNDING = 2e-5

Scores = Mapping[str, np.ndarray]
"""r of every target under ``<arm>/<subject>/<group>/cut<rows>``."""


def file_faults(folder: Path, arms: Sequence[ArmAudit], store: Store) -> Iterator[Found]:
    """Compare the files of a run's folder with the store.

    Parameters
    ----------
    folder : Path
    arms : sequence of ArmAudit
        All arms in all subjects.
    store : Store
    """
    yield from _report_faults(folder, arms, store)
    known: dict[str, np.ndarray] = {}
    for arm in arms:
        path = artifact(store, arm.scores, "scores.npz")
        if path is not None:
            named = read_npz(path)
            known |= {f"{arm.run.name}/{arm.subject}/{base}": r for base, r in named.items()}
    if known:
        yield from _array_faults(folder / "scores.npz", known)
        yield from _record_faults(folder, known)
        yield from _table_faults(folder / "table.tsv", known)


def _report_faults(folder: Path, arms: Sequence[ArmAudit], store: Store) -> Iterator[Found]:
    """The report of the store that was made of the same scores, file by file."""
    keys = {arm.scores.key for arm in arms}
    reports = [
        path.parent
        for path in sorted(store.folder.glob("report/*/recipe.json"))
        if keys <= set(read_json(path)["inputs"].values())
    ]
    if not reports:
        yield Unproven("files", folder.name, "no report of these scores is in the store")
        return
    edited = min((_edited(folder, report) for report in reports), key=len)
    for name in edited:
        yield Fault(
            "scores-not-reproduced",
            name,
            f"{len(edited)} of {len(FILES)} files",
            "the file is not the one that the run wrote",
        )


def _edited(folder: Path, report: Path) -> list[str]:
    return [name for name in FILES if _content(folder / name) != _content(report / name)]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _array_faults(path: Path, known: Scores) -> Iterator[Fault]:
    stored = read_npz(path)
    for name, r in known.items():
        found = stored.get(name)
        if found is None or not np.array_equal(found, r, equal_nan=True):
            yield _fault(f"scores.npz, {name}", "r of the targets", "is not what was scored")


def _record_faults(folder: Path, known: Scores) -> Iterator[Fault]:
    for row in read_run(folder)["results"]:
        name = f"{row['arm']}/{row['subject']}/{base_name(row['group'], row['rows_cut'])}"
        wrong = _wrong_mean(row["mean"], known.get(name), _ROUNDING)
        if wrong:
            yield _fault(f"run.json, {name}", wrong, "the mean is not that of the scores")


def _table_faults(path: Path, known: Scores) -> Iterator[Fault]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        name = f"{row['arm']}/{row['subject']}/{base_name(row['group'], int(row['rows_cut']))}"
        if name not in known:
            continue  # means over subjects
        mean = float(row["r_mean"]) if row["r_mean"] else None
        wrong = _wrong_mean(mean, known[name], _ROUNDING)
        if wrong:
            yield _fault(f"table.tsv, {name}", wrong, "the mean is not that of the scores")


def _wrong_mean(stated: float | None, r: np.ndarray | None, room: float) -> str:
    """What is wrong with a stated mean; empty where nothing is."""
    if r is None:
        return "no such scores"
    known = r[np.isfinite(r)]
    if stated is None or not math.isfinite(stated) or not len(known):
        return "" if stated is None or not len(known) else f"{stated}"
    mean = float(known.mean())
    return "" if abs(stated - mean) <= room else f"{stated:.4f}, not {mean:.4f}"


def _fault(where: str, figure: str, said: str) -> Fault:
    return Fault("scores-not-reproduced", where, figure, said)
