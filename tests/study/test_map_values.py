"""Which numbers of a run or a file become maps, what they are called, and what titles warn of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brainaligner.core import InputError, Split, ValidationSplit
from brainaligner.study._map_values import map_label, map_warnings, read_values

SUBJECTS = ("UTS01", "UTS02")
RUN = {"title": "t", "simulated": False, "findings": [], "results": [], "label": Split.label}


def save_run(folder: Path, **more: Any) -> Path:
    """A finished run of two arms and a noise ceiling, judged not valid where `more` says so."""
    folder.mkdir()
    record = RUN | more
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    rng = np.random.default_rng(0)
    arrays = {
        f"{arm}/{s}/test/cut0": rng.uniform(0, 0.2, 9) for arm in ("a", "b") for s in SUBJECTS
    }
    for measure in ("cc_max", "total_power"):
        arrays |= {f"ceilings/{s}/smoke/cut0/{measure}": rng.uniform(1, 2, 9) for s in SUBJECTS}
    if record.get("audit"):
        arrays["NOT VALID"] = np.array("something was chosen on scored rows")
    np.savez(folder / "scores.npz", **arrays)
    return folder


def test_noise_ceilings_are_no_scores(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    found = read_values(run, SUBJECTS)
    assert [one.name.split("/")[0] for one in found] == ["a", "a", "b", "b"]
    assert map_label(run, found) == "Pearson r"
    assert max(one.values.max() for one in found) < 0.2


def test_noise_ceilings_are_drawn_where_they_are_named(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    found = read_values(run, SUBJECTS, only="ceilings/*/cc_max")
    assert [one.subject for one in found] == list(SUBJECTS)
    assert map_label(run, found) == "cc max"
    assert map_label(run, read_values(run, SUBJECTS, only="ceilings/*")) == "noise ceiling"


def test_a_file_of_ones_own_may_call_its_arrays_what_it_likes(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, **{"ceilings/UTS01/x": np.ones(3)})
    found = read_values(path, SUBJECTS)
    assert [one.name for one in found] == ["ceilings/UTS01/x"]
    assert map_label(path, found) == "value"


def test_maps_of_a_run_that_is_not_valid_say_so(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", audit={"verdict": "FAIL"}, simulated=True)
    assert len(read_values(run, SUBJECTS)) == 4
    assert map_warnings(tmp_path, run) == ("SIMULATED DATA", "NOT VALID")


def test_maps_of_stories_that_are_not_held_out_say_so(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", audit={"verdict": "WARN"}, label=ValidationSplit.label)
    assert map_warnings(tmp_path, run) == (ValidationSplit.label,)
    assert map_warnings(tmp_path, save_run(tmp_path / "other")) == ()


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_whose_file_is_damaged_decides_what_helps(tmp_path: Path, kept: int) -> None:
    run = save_run(tmp_path / "run")
    whole = (run / "scores.npz").read_bytes()
    (run / "scores.npz").write_bytes(whole[:kept])
    (tmp_path / "mine.npz").write_bytes(whole[:kept])
    with pytest.raises(InputError, match=r"Run the study again\.") as of_run:
        read_values(run, SUBJECTS)
    with pytest.raises(InputError, match=r"Save it again\.") as own:
        read_values(tmp_path / "mine.npz", SUBJECTS)
    for caught in (of_run, own):
        assert "Remove the folder" not in str(caught.value)


def test_arrays_of_objects_are_refused_and_never_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **{"a/UTS01": np.array([{}], dtype=object)})
    with pytest.raises(InputError, match=r"Save it again\."):
        read_values(tmp_path / "mine.npz", SUBJECTS)
