"""The tree of ds003020: every fault told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from data_trees import N_ROWS, long_textgrid, story_textgrid
from lebel_trees import found, hf5, rewrite, stored, textgrid_of, write_grid

from brainaligner.core import InputError
from brainaligner.data import Dataset, open_dataset


def read_everything(dataset: Dataset, subject: str) -> None:
    for story in dataset.stories(subject):
        dataset.repeats(subject, story)


def truncate(root: Path) -> None:
    path = hf5(root)
    path.write_bytes(path.read_bytes()[:3000])


def no_hdf5(root: Path) -> None:
    hf5(root).write_text("<html>404 Not Found</html>", encoding="utf-8")


def misnamed_key(root: Path) -> None:
    rewrite(hf5(root), stored(hf5(root)), "Data")


def set_data(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda root: rewrite(hf5(root), change(stored(hf5(root))))


def short_repeats(root: Path) -> None:
    with h5py.File(hf5(root, story="souls"), "r+") as file:
        data = file["individual_repeats"][:, :-1]
        del file["individual_repeats"]
        file["individual_repeats"] = data


RESPONSE_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (truncate, r"buck\.hf5.*truncated"),
    "not HDF5": (no_hdf5, r"buck\.hf5.*cannot be read"),
    "key in capitals": (misnamed_key, "unknown dataset 'data'.*Did you mean 'Data'"),
    "a row too few": (set_data(lambda x: x[:-1]), "29 rows.*30 rows.*respdict"),
    "a row too many": (set_data(lambda x: np.r_[x, x[:1]]), "31 rows.*30 rows"),
    "another voxel count": (set_data(lambda x: x[:, :-1]), "11 columns|12 columns"),
    "int16": (set_data(lambda x: (x * 100).astype(np.int16)), "int16 array"),
    "complex": (set_data(lambda x: x.astype(complex)), "complex128 array"),
    "text": (set_data(lambda x: x.astype("S8")), r"\|S8 array"),
    "one dimension": (set_data(lambda x: x[:, 0]), r"shape \(30,\)"),
    "three dimensions": (set_data(lambda x: x[None]), r"shape \(1, 30, 12\)"),
    "no columns": (set_data(lambda x: x[:, :0]), r"shape \(30, 0\)"),
    "repeats of other rows": (short_repeats, r"shape \(3, 29, 12\)"),
    "cut TextGrid": (write_grid(story_textgrid()[:900]), r"buck\.TextGrid"),
    "empty TextGrid": (write_grid(""), r"buck\.TextGrid"),
    "no words": (write_grid(textgrid_of([(0, 9, "{br}")])), "no words"),
    "words beyond the end": (
        write_grid(textgrid_of([(0, 1, "hi"), (95.5, 96, "late")])),
        r"30 rows, the last ending at 70 s, and a word at 95\.5 s",
    ),
    "milliseconds": (
        write_grid(textgrid_of([(0, 250, "hi"), (250, 900, "there")])),
        "in seconds",
    ),
    "no tier": (write_grid(long_textgrid({}, 9.0)), "no tier"),
}


@pytest.mark.parametrize("fault", RESPONSE_FAULTS)
def test_each_fault_is_reported_and_raised(lebel_tree: Path, fault: str) -> None:
    break_it, message = RESPONSE_FAULTS[fault]
    break_it(lebel_tree)
    dataset = open_dataset("lebel2023", lebel_tree)
    with pytest.raises(InputError, match=message):
        read_everything(dataset, "UTS01")
    assert dataset.repeats("UTS02", "life") is None
    assert dataset.responses("UTS02", "life").n_rows == N_ROWS
    assert found(lebel_tree)


def test_words_that_stop_long_before_the_scan_are_noticed(lebel_tree: Path) -> None:
    write_grid(textgrid_of([(0, 1, "hi"), (1, 2, "there")]))(lebel_tree)
    assert "the last word at 2 s" in found(lebel_tree, "warning")[0].got


def remove_grids(root: Path) -> None:
    shutil.rmtree(root / "TextGrids")


def empty_grids(root: Path) -> None:
    remove_grids(root)
    (root / "TextGrids").mkdir()


def remove_responses(root: Path) -> None:
    for path in (root / "preprocessed_data").glob("*/*.hf5"):
        path.unlink()


def two_trees(root: Path) -> None:
    shutil.copytree(root, root.with_name("derivatives"))


def set_respdict(text: str) -> Callable[[Path], object]:
    return lambda root: (root / "respdict.json").write_text(text, encoding="utf-8")


LAYOUT_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no TextGrids": (remove_grids, "without TextGrids"),
    "empty TextGrids": (empty_grids, "0 TextGrids"),
    "no responses": (remove_responses, "0 subjects"),
    "no tree": (shutil.rmtree, "preprocessed_data/ in 0 places"),
    "two trees": (two_trees, "in 2 places"),
    "broken respdict": (set_respdict('{"buck": 50'), r"respdict\.json.*JSON"),
    "a list": (set_respdict("[50]"), "a JSON list"),
    "text for a count": (set_respdict('{"buck": "50"}'), "'50' for story 'buck'"),
    "too small a count": (set_respdict('{"buck": 20}'), "20 for story 'buck'"),
}


@pytest.mark.parametrize("fault", LAYOUT_FAULTS)
def test_layout_faults_are_raised_on_opening(lebel_tree: Path, fault: str) -> None:
    break_it, message = LAYOUT_FAULTS[fault]
    break_it(lebel_tree)
    with pytest.raises(InputError, match=message):
        open_dataset("lebel2023", lebel_tree.parent)


@pytest.mark.parametrize(
    "vertices", [np.arange(5), np.zeros(12), np.array([{}] * 12, dtype=object), np.full(12, 20484)]
)
def test_faulty_vertices_are_refused(lebel_tree: Path, vertices: np.ndarray) -> None:
    folder = lebel_tree / "pycortex-db" / "UTS01"
    folder.mkdir(parents=True)
    # numpy writes objects as a pickle, which must be refused unopened
    np.save(folder / "fsaverage5_vertices.npy", vertices, allow_pickle=True)
    with pytest.raises(InputError, match="vertices"):
        open_dataset("lebel2023", lebel_tree).space("UTS01")


def test_vertices_in_a_zip_file_are_refused(lebel_tree: Path) -> None:
    path = lebel_tree / "pycortex-db" / "UTS01" / "fsaverage5_vertices.npy"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        np.savez(file, vertices=np.arange(12))
    with pytest.raises(InputError, match="vertices"):
        open_dataset("lebel2023", lebel_tree).space("UTS01")


@pytest.mark.parametrize(("n_voxels", "n_errors"), [(12, 0), (11, 1)])
def test_the_mask_must_have_a_voxel_for_each_column(
    lebel_tree: Path, n_voxels: int, n_errors: int
) -> None:
    folder = lebel_tree / "pycortex-db" / "UTS01" / "transforms" / "UTS01_auto"
    folder.mkdir(parents=True)
    mask = np.zeros(27, dtype=np.uint8)
    mask[:n_voxels] = 1
    image = nibabel.Nifti1Image(mask.reshape(3, 3, 3), np.eye(4))
    nibabel.save(image, folder / "mask_thick.nii.gz")
    errors = found(lebel_tree)
    assert len(errors) == n_errors
    assert all("a mask of 11 voxels" in problem.got for problem in errors)


def test_a_broken_mask_is_told(lebel_tree: Path) -> None:
    folder = lebel_tree / "pycortex-db" / "UTS01" / "transforms" / "UTS01_auto"
    folder.mkdir(parents=True)
    (folder / "mask_thick.nii.gz").write_bytes(b"no gzip")
    assert "mask_thick" in found(lebel_tree)[0].where


def test_without_respdict_rows_are_unchecked_and_said_to_be(lebel_tree: Path) -> None:
    (lebel_tree / "respdict.json").unlink()
    (problem,) = found(lebel_tree, "warning")
    assert "respdict.json" in problem.where
    set_respdict(json.dumps({"buck": 50}))(lebel_tree)
    (problem,) = found(lebel_tree, "warning")
    assert problem.got == "nothing about life, souls"


def test_copies_under_another_name_are_found(lebel_tree: Path) -> None:
    shutil.copy(hf5(lebel_tree), hf5(lebel_tree, story="life"))
    grids = lebel_tree / "TextGrids"
    shutil.copy(grids / "buck.TextGrid", grids / "souls.TextGrid")
    copies = {(problem.where, problem.got) for problem in found(lebel_tree)}
    assert copies == {
        ("UTS01/buck, UTS01/life", "the same responses"),
        ("buck, souls", "the same words at the same times"),
    }


def test_an_unannounced_average_is_noticed(lebel_tree: Path) -> None:
    rng = np.random.default_rng(3)
    rows = json.loads((lebel_tree / "respdict.json").read_text(encoding="utf-8"))
    for i in range(5):
        story = f"more{i}"
        text = story_textgrid(0.5 + 0.1 * i)
        (lebel_tree / "TextGrids" / f"{story}.TextGrid").write_text(text, encoding="utf-8")
        rows[story] = N_ROWS + 20
        with h5py.File(hf5(lebel_tree, story=story), "w") as file:
            file["data"] = rng.standard_normal((N_ROWS, 12)) * (0.4 if i == 2 else 1.0)
    (lebel_tree / "respdict.json").write_text(json.dumps(rows), encoding="utf-8")
    averaged = [p for p in found(lebel_tree, "warning") if "standard deviation" in p.got]
    assert [problem.where.split("'")[1] for problem in averaged] == ["more2"]
