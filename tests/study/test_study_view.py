"""The explorer's numbers against the run's own files, and runs that it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_trees import Cli, StudyFile
from view_trees import stories_of

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.report import cortex_mesh, fsaverage5_coordinates, on_vertices
from brainaligner.study._disk import read_column, write_npz
from brainaligner.study._progress import reporting
from brainaligner.study._reopened import reopen_run
from brainaligner.study._view_data import RunView


def test_time_courses_give_the_scores_of_the_run(view: RunView, placed: Path) -> None:
    """Courses of all stories together, correlated here, are the r of scores.npz."""
    with np.load(placed / "scores.npz", allow_pickle=False) as archive:
        wanted = archive["second/SIM02/test/cut0"]
    stories = stories_of(view, "SIM02", "test")
    for target in (0, 17, 159):
        courses = [view.series("SIM02", story, target, ["second"]) for story in stories]
        predicted = np.concatenate([course["predicted"]["second"] for course in courses])
        measured = np.concatenate([course["measured"] for course in courses])
        assert np.corrcoef(predicted, measured)[0, 1] == pytest.approx(wanted[target], abs=2e-3)
    shown = view.scores("second", "SIM02", "test")
    np.testing.assert_array_equal(shown, wanted.astype(np.float32))


def test_a_study_without_whole_stories_shows_what_it_has(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    study = study_file({"evaluation": {"cuts": [2, 3]}})
    assert cli("run", study, "--out", tmp_path / "out").code == 0
    run = tmp_path / "out" / "tiny"
    with reporting() as reporter:
        plan, store = reopen_run(run, data=None, out=None, reporter=reporter)
    view = RunView(run, plan, store)
    assert view.about()["rows_cut"] == 2
    with np.load(run / "scores.npz", allow_pickle=False) as archive:
        wanted = archive["first/P1/test/cut2"].astype(np.float32)
    np.testing.assert_array_equal(view.scores("first", "P1", "test"), wanted)


def test_words_stand_in_the_rows_in_which_they_began(view: RunView) -> None:
    story = stories_of(view, "SIM01", "test")[0]
    dataset = view.plan.prepared.dataset
    transcript, clock = dataset.transcript(story), dataset.clock
    shown = view.series("SIM01", story, 0, [])
    edges = np.array(shown["times"]) - clock.tr / 2
    for row in (0, 1, len(edges) // 2, len(edges) - 1):
        began = (transcript.onsets >= edges[row]) & (transcript.onsets < edges[row] + clock.tr)
        words = [word for word, own in zip(transcript.words, began, strict=True) if own]
        assert shown["words"][row] == " ".join(words)


def test_a_vertex_gives_the_targets_whose_colour_it_has(view: RunView) -> None:
    vertices = view.plan.prepared.dataset.space("SIM01").vertices
    assert vertices is not None
    colours = np.random.default_rng(0).uniform(size=len(vertices))
    painted = on_vertices(vertices, colours)
    coloured = np.flatnonzero(np.isfinite(painted))
    assert len(coloured) > len(set(vertices.tolist()))  # gaps are filled
    for vertex in coloured[::7].tolist():
        found = view.targets_at("SIM01", vertex)
        assert colours[found].mean() == pytest.approx(painted[vertex])


def test_a_vertex_without_colour_gives_the_nearest_targets(view: RunView) -> None:
    vertices = view.plan.prepared.dataset.space("SIM01").vertices
    assert vertices is not None
    places = cortex_mesh().coordinates
    bare = np.flatnonzero(np.isnan(on_vertices(vertices, np.ones(len(vertices)))))
    for vertex in bare[:: len(bare) // 5].tolist():
        found = view.targets_at("SIM01", vertex)
        distance = np.linalg.norm(places - places[vertex], axis=1)[vertices]
        distance[vertices < 0] = np.inf
        assert distance[found].max() == distance.min()


def test_the_mesh_is_fsaverage5_with_its_halves_apart() -> None:
    mesh = cortex_mesh()
    n = len(fsaverage5_coordinates())
    assert mesh.coordinates.shape == (n, 3)
    assert mesh.coordinates[: n // 2, 0].max() < 0 < mesh.coordinates[n // 2 :, 0].min()
    assert set(mesh.faces.ravel().tolist()) == set(range(n))
    assert 0.3 < mesh.sulci.mean() < 0.7


def test_a_dataset_of_one_story_is_shown_with_its_folds(finished: Path) -> None:
    with reporting() as reporter:
        plan, store = reopen_run(finished / "tiny", data=None, out=None, reporter=reporter)
    view = RunView(finished / "tiny", plan, store)
    about = view.about()
    subject = next(iter(about["subjects"]))
    assert about["subjects"][subject]["cortex"]
    with pytest.raises(InputError, match="place on the cortex"):
        view.painted("first", subject, "test")


def test_columns_are_those_of_the_matrix(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.standard_normal((7, 5)).astype(np.float32),
        "b": np.asfortranarray(rng.standard_normal((3, 9))),
    }
    write_npz(tmp_path / "x.npz", arrays)
    for name, matrix in arrays.items():
        for column in (0, 2, matrix.shape[1] - 1):
            np.testing.assert_array_equal(
                read_column(tmp_path / "x.npz", name, column), matrix[:, column]
            )
    np.savez_compressed(tmp_path / "c.npz", a=arrays["a"])
    with pytest.raises(BrainAlignerError, match="damaged artifact"):
        read_column(tmp_path / "c.npz", "a", 0)


def test_an_arm_asked_for_many_times_is_read_once(
    view: RunView, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    predicted = RunView._predicted

    def counted(self: RunView, arm: str, *where: Any) -> Any:
        read.append(arm)
        return predicted(self, arm, *where)

    monkeypatch.setattr(RunView, "_predicted", counted)
    story = stories_of(view, "SIM01", "test")[0]
    found = view.series("SIM01", story, 0, ["first"] * 1000)
    assert read == ["first"]
    assert list(found["predicted"]) == ["first"]


def reopened(folder: Path) -> RunView:
    with reporting() as reporter:
        plan, store = reopen_run(folder, data=None, out=None, reporter=reporter)
    return RunView(folder, plan, store)


def test_a_run_of_an_earlier_version_is_shown_without_its_audit(out: Path) -> None:
    path = out / "tiny" / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    for key in ("audit", "study"):
        del record[key]
    path.write_text(json.dumps(record), encoding="utf-8")
    about = reopened(out / "tiny").about()
    assert (about["audit"], about["study"]) == ("not judged", "tiny")


def test_scores_of_other_data_are_refused(out: Path) -> None:
    opened = reopened(out / "tiny")
    with np.load(out / "tiny" / "scores.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["first/P1/test/cut0"] = arrays["first/P1/test/cut0"][:-1]
    write_npz(out / "tiny" / "scores.npz", arrays)
    with pytest.raises(InputError, match="5 scores, and data of 6 targets"):
        opened.scores("first", "P1", "test")


def test_a_run_that_was_moved_alone_is_refused_and_nothing_is_made(
    cli: Cli, placed: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(placed, tmp_path / "elsewhere" / "tiny")
    done = cli("view", moved, "--no-browser")
    assert done.code == 2
    assert "the store that the run was made in" in done.lines[-1]
    assert [path.name for path in moved.parent.iterdir()] == ["tiny"]
    with reporting() as reporter:
        plan, store = reopen_run(moved, data=None, out=placed.parent, reporter=reporter)
    assert RunView(moved, plan, store).about()["study"] == "tiny"


def test_data_that_went_away_are_named(cli: Cli, out: Path, tmp_path: Path) -> None:
    done = cli("view", out / "tiny", "--no-browser", "--data", tmp_path / "gone")
    assert done.code == 2
    assert "gone" in done.lines[-1]


def test_a_half_finished_run_is_refused(cli: Cli, out: Path) -> None:
    (out / "tiny" / "run.json").unlink()
    done = cli("view", out / "tiny", "--no-browser")
    assert done.code == 2
    assert "no run.json" in done.lines[-1]


def test_a_run_without_its_predictions_says_what_to_do(
    cli: Cli, placed: Path, tmp_path: Path
) -> None:
    assert cli("view", tmp_path / "nothing").code == 2
    out = shutil.copytree(placed.parent, tmp_path / "out")
    shutil.rmtree(out / "store" / "readout")
    with reporting() as reporter:
        plan, store = reopen_run(out / "tiny", data=None, out=None, reporter=reporter)
    lacking = RunView(out / "tiny", plan, store)
    with pytest.raises(InputError, match="Run the study again"):
        lacking.series("SIM01", stories_of(lacking, "SIM01", "test")[0], 0, ["first"])
