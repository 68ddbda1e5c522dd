"""The table of noise ceilings, read again by the standard library."""

from __future__ import annotations

import csv
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from brainaligner.data import Dataset
from brainaligner.evaluation import noise_ceiling
from brainaligner.study import _ceilings
from brainaligner.study._ceilings import COLUMNS, MEASURES, StoryCeiling, save_ceilings
from brainaligner.study._progress import SilentReporter

LABELS = ("plain", "a\ttab", "a\nbreak", 'a "quote"')


def test_labels_with_tabs_and_line_breaks_keep_their_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    repeats = rng.standard_normal((60, len(LABELS))) + rng.standard_normal((3, 60, len(LABELS)))
    one = StoryCeiling("P\t1", "tale", LABELS, noise_ceiling(repeats.astype(np.float32)), 0)
    monkeypatch.setattr(_ceilings, "story_ceiling", lambda *_: one)
    path = tmp_path / "ceiling.tsv"
    save_ceilings(path, Mock(spec=Dataset), [("P\t1", "tale")], SilentReporter())
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["target"] for row in rows] == list(LABELS)
    assert {row["subject"] for row in rows} == {"P\t1"}
    for name in MEASURES:
        found = [float(row[name]) for row in rows]
        np.testing.assert_allclose(found, getattr(one.ceiling, name), rtol=1e-6)
    first = path.read_text("utf-8").splitlines()[0]
    assert first == "\t".join(COLUMNS)
