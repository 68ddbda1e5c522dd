"""The tree of ds003020: read in slices, its files found, its counts kept."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_trees import N_ROWS
from lebel_trees import found, hf5, rewrite, stored, textgrid_of, write_grid

from brainaligner.core import Clock, InputError
from brainaligner.data import open_dataset


def test_a_sound_tree(lebel_tree: Path) -> None:
    dataset = open_dataset("lebel2023", lebel_tree)
    assert dataset.reader == "lebel2023"
    assert dataset.subjects == ("UTS01", "UTS02")
    assert dataset.stories("UTS01") == ("buck", "life", "souls")
    assert dataset.clock == Clock(2.0, 11.0)
    assert dataset.transcript("buck").words == ("once", "upon", "a", "time", "there", "was", "so")
    np.testing.assert_array_equal(dataset.transcript("buck").onsets, [6, 12, 18, 24, 36, 42, 48])
    assert dataset.n_rows("UTS02", "life") == N_ROWS
    assert (dataset.space("UTS01").kind, dataset.space("UTS01").size) == ("voxels", 12)
    assert [dataset.presentations(story) for story in ("buck", "souls")] == [1, 3]
    assert dataset.problems() == ()


@pytest.mark.parametrize("where", ["dataset", "parent", "itself", "plural"])
def test_the_folder_may_be_the_dataset_its_parent_or_the_derivative(
    lebel_tree: Path, where: str
) -> None:
    folder = {
        "dataset": lebel_tree.parent,
        "parent": lebel_tree.parent.parent,
        "itself": lebel_tree,
        "plural": lebel_tree.parent,
    }[where]
    if where == "plural":
        lebel_tree.rename(lebel_tree.with_name("derivatives"))
    assert open_dataset("lebel2023", folder).subjects == ("UTS01", "UTS02")


@pytest.mark.parametrize("targets", [slice(None), slice(3, 7), slice(0, 1), slice(8, 99)])
@pytest.mark.parametrize("story", ["buck", "souls"])
def test_column_slices_equal_slices_of_the_whole(
    lebel_tree: Path, story: str, targets: slice
) -> None:
    dataset = open_dataset("lebel2023", lebel_tree)
    part = dataset.responses("UTS01", story, targets)
    whole = stored(hf5(lebel_tree, story=story)).astype(np.float32)
    np.testing.assert_array_equal(part.values, whole[:, targets])
    assert part.values.dtype == np.float32
    assert part.space.size == part.values.shape[1]
    repeated = dataset.repeats("UTS01", story, targets)
    if story == "buck":
        assert repeated is None
    else:
        repeats = stored(hf5(lebel_tree, story=story), "individual_repeats").astype(np.float32)
        assert repeated is not None
        assert repeated.repeats is not None
        np.testing.assert_array_equal(repeated.repeats, repeats[:, :, targets])
        np.testing.assert_array_equal(repeated.values, part.values)
        assert part.presentations == repeated.presentations == 3


def test_a_slice_of_a_large_file_takes_little_memory(lebel_tree: Path) -> None:
    path, shape = hf5(lebel_tree), (N_ROWS, 200_000)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", shape, dtype="f8", fillvalue=0.5)[:, 1000:1100] = 1.0
    for other in ("life", "souls"):
        hf5(lebel_tree, story=other).unlink()
    dataset = open_dataset("lebel2023", lebel_tree)
    dataset.transcript("buck")
    tracemalloc.start()
    values = dataset.responses("UTS01", "buck", slice(1000, 1100)).values
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (values == 1.0).all()
    assert path.stat().st_size > 48_000_000
    assert peak < 1_000_000


def test_nan_and_infinite_values_become_zero_and_are_counted(lebel_tree: Path) -> None:
    data = stored(hf5(lebel_tree))
    data[:, 4] = np.nan
    data[2, 5], data[3, 6], data[1, 7] = np.inf, -np.inf, 1e300
    rewrite(hf5(lebel_tree), data)
    dataset = open_dataset("lebel2023", lebel_tree)
    responses = dataset.responses("UTS01", "buck")
    assert responses.replaced == N_ROWS + 3
    assert not responses.values[:, 4].any()
    assert responses.values[2, 5] == responses.values[3, 6] == responses.values[1, 7] == 0
    assert dataset.responses("UTS01", "buck", slice(0, 4)).replaced == 0
    text = " ".join(problem.got for problem in found(lebel_tree, "warning"))
    assert "33 NaN or infinite values in 1 stories (buck)" in text
    assert "1 columns that never change (columns 4; stories buck)" in text


def test_nan_in_the_single_presentations_is_counted(lebel_tree: Path) -> None:
    with h5py.File(hf5(lebel_tree, story="souls"), "r+") as file:
        file["individual_repeats"][1, 2, 3] = np.nan
    repeated = open_dataset("lebel2023", lebel_tree).repeats("UTS01", "souls")
    assert repeated is not None
    assert repeated.repeats is not None
    assert repeated.replaced == 1
    assert repeated.repeats[1, 2, 3] == 0


def test_constant_columns_are_reported(lebel_tree: Path) -> None:
    data = stored(hf5(lebel_tree))
    data[:, [2, 9]] = 0.25
    rewrite(hf5(lebel_tree), data)
    (problem,) = found(lebel_tree, "warning")
    assert problem.got == "2 columns that never change (columns 2, 9; stories buck)"
    assert found(lebel_tree) == []


def test_words_up_to_the_margin_after_the_scan_pass(lebel_tree: Path) -> None:
    write_grid(textgrid_of([(0, 1, "hi"), (89.5, 90, "late")]))(lebel_tree)
    assert open_dataset("lebel2023", lebel_tree).n_rows("UTS01", "buck") == N_ROWS


def dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to(f"../../.git/annex/objects/{path.name}")


def test_files_that_were_not_downloaded_are_said_to_be(lebel_tree: Path) -> None:
    dangle(hf5(lebel_tree))
    dangle(lebel_tree / "TextGrids" / "souls.TextGrid")
    for story in ("buck", "life", "souls"):
        dangle(hf5(lebel_tree, "UTS02", story))
    dataset = open_dataset("lebel2023", lebel_tree)
    assert dataset.subjects == ("UTS01",)
    assert dataset.stories("UTS01") == ("life",)
    with pytest.raises(InputError, match=r"UTS01/buck.*not downloaded"):
        dataset.responses("UTS01", "buck")
    with pytest.raises(InputError, match=r"UTS02.*none of them downloaded"):
        dataset.stories("UTS02")
    text = "\n".join(f"{problem.where} {problem.got}" for problem in found(lebel_tree, "warning"))
    for part in ("1 files without content: buck", "3 hf5 files, none", "souls.TextGrid"):
        assert part in text


def test_stories_without_a_partner_are_told(lebel_tree: Path) -> None:
    (lebel_tree / "TextGrids" / "souls.TextGrid").unlink()
    hf5(lebel_tree, "UTS02", "life").unlink()
    dataset = open_dataset("lebel2023", lebel_tree)
    assert dataset.stories("UTS01") == ("buck", "life")
    assert dataset.stories("UTS02") == ("buck",)
    with pytest.raises(InputError, match="words and no responses for story 'life'"):
        dataset.n_rows("UTS02", "life")
    text = "\n".join(problem.got for problem in found(lebel_tree, "warning"))
    assert "responses and no words for 1 stories: souls" in text
    assert "words and no responses of this subject for 1 stories: life" in text


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda d: d.stories("UTS1"), "unknown subject 'UTS1'.*Did you mean 'UTS01'"),
        (lambda d: d.responses("UTS01", "bukc"), "unknown story 'bukc'.*Did you mean 'buck'"),
        (lambda d: d.transcript("Soul"), "unknown story 'Soul'.*Did you mean 'souls'"),
        (lambda d: d.presentations("lif"), "unknown story 'lif'.*Did you mean 'life'"),
        (lambda d: d.responses_digest("UTS09", "buck"), "unknown subject"),
        (lambda d: d.responses("UTS01", "buck", slice(12, 20)), "columns 12:20"),
        (lambda d: d.responses("UTS01", "buck", slice(5, 5)), "columns 5:5"),
        (lambda d: d.responses("UTS01", "buck", slice(None, None, -1)), "ascending"),
    ],
)
def test_unknown_names_and_columns(lebel_tree: Path, ask: Callable, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ask(open_dataset("lebel2023", lebel_tree))


def test_vertices_are_cut_with_the_columns(lebel_tree: Path) -> None:
    folder = lebel_tree / "pycortex-db" / "UTS01"
    folder.mkdir(parents=True)
    vertices = np.arange(-1, 11, dtype=np.int32)
    np.save(folder / "fsaverage5_vertices.npy", vertices)
    dataset = open_dataset("lebel2023", lebel_tree)
    space = dataset.responses("UTS01", "buck", slice(2, 6)).space
    assert space.has_map
    np.testing.assert_array_equal(space.vertices, vertices[2:6])
    assert not dataset.space("UTS02").has_map


def test_a_link_between_the_two_names_is_one_tree(lebel_tree: Path) -> None:
    lebel_tree.with_name("derivatives").symlink_to(lebel_tree.name)
    assert open_dataset("lebel2023", lebel_tree.parent).subjects == ("UTS01", "UTS02")


def test_the_repeated_story_is_known_where_its_repeats_are_missing(lebel_tree: Path) -> None:
    for path in (lebel_tree / "preprocessed_data").glob("*/buck.hf5"):
        path.rename(path.with_stem("wheretheressmoke"))
    grids = lebel_tree / "TextGrids"
    (grids / "buck.TextGrid").rename(grids / "wheretheressmoke.TextGrid")
    dataset = open_dataset("lebel2023", lebel_tree)
    assert dataset.repeats("UTS01", "wheretheressmoke") is None
    assert dataset.presentations("wheretheressmoke") == 2
    assert dataset.responses("UTS01", "wheretheressmoke").presentations == 2
    assert dataset.presentations("life") == 1


def test_digest_is_that_of_the_file(lebel_tree: Path) -> None:
    dataset = open_dataset("lebel2023", lebel_tree)
    wanted = hashlib.sha256(hf5(lebel_tree).read_bytes()).hexdigest()
    assert dataset.responses_digest("UTS01", "buck") == wanted
    assert dataset.responses_digest("UTS01", "life") != wanted


def test_the_only_tier_holds_the_words(lebel_tree: Path) -> None:
    write_grid(textgrid_of([(0, 1, "Hi"), (1, 40, "THERE")]))(lebel_tree)
    assert open_dataset("lebel2023", lebel_tree).transcript("buck").words == ("hi", "there")
