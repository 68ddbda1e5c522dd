"""Compact copies: compared with numpy's own rounding, and opened by the reader."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from brainaligner.core import InputError
from brainaligner.data import _convert, _copies, convert_responses, open_dataset
from brainaligner.data._convert import Rounding
from brainaligner.data._copies import copy_fault


def files_under(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}


def arrays(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: file[name][...] for name in file}


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_every_value_is_the_rounded_one(lebel_tree: Path, tmp_path: Path, kind: str) -> None:
    before = {p.relative_to(lebel_tree): arrays(p) for p in lebel_tree.rglob("*.hf5")}
    original = open_dataset("lebel2023", lebel_tree)
    wanted = original.repeats("UTS01", "souls", slice(2, 9))
    converted = convert_responses(lebel_tree, tmp_path / "to", kind=kind, delete=True)
    assert len(converted) == 6
    assert not list(lebel_tree.rglob("*.hf5"))
    for name, source in before.items():
        copy = arrays(tmp_path / "to" / "derivative" / name)
        assert set(copy) == set(source)
        for key, values in source.items():
            assert copy[key].dtype == kind
            np.testing.assert_array_equal(copy[key], values.astype(kind))
    dataset = open_dataset("lebel2023", tmp_path / "to")
    assert dataset.problems() == ()
    got = dataset.repeats("UTS01", "souls", slice(2, 9))
    assert got is not None
    assert wanted is not None
    tolerance = {"float32": 0.0, "float16": 2e-3}[kind]
    np.testing.assert_allclose(got.values, wanted.values, atol=tolerance)
    np.testing.assert_allclose(got.repeats, wanted.repeats, atol=tolerance)
    assert got.values.dtype == np.float32


def test_copies_are_chunked_by_columns(
    lebel_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_copies, "_CHUNK_BYTES", 30 * 4 * 2)
    monkeypatch.setattr(_copies, "_CHUNKS_AT_A_TIME", 2)
    convert_responses(lebel_tree, tmp_path / "to", kind="float32")
    path = "preprocessed_data/UTS02/souls.hf5"
    with h5py.File(tmp_path / "to" / "derivative" / path) as file:
        assert file["data"].chunks == (30, 2)
        assert file["individual_repeats"].chunks == (1, 30, 2)
    for name, values in arrays(lebel_tree / path).items():
        copied = arrays(tmp_path / "to" / "derivative" / path)[name]
        np.testing.assert_array_equal(copied, values.astype(np.float32))


def test_nan_and_infinite_values_stay(lebel_tree: Path, tmp_path: Path) -> None:
    path = "preprocessed_data/UTS01/buck.hf5"
    with h5py.File(lebel_tree / path, "r+") as file:
        file["data"][0, :3] = np.nan, np.inf, -np.inf
    convert_responses(lebel_tree, tmp_path / "to", kind="float16")
    first = arrays(tmp_path / "to" / "derivative" / path)["data"][0, :3]
    np.testing.assert_array_equal(first, np.array([np.nan, np.inf, -np.inf], np.float16))


def test_a_second_call_writes_nothing_and_removes_what_was_kept(
    lebel_tree: Path, tmp_path: Path
) -> None:
    first = convert_responses(lebel_tree, tmp_path / "to", kind="float32")
    stamps = {c.path: c.path.stat().st_mtime_ns for c in first}
    assert not any(c.original_removed for c in first)
    assert all(c.path.stat().st_size == c.bytes_after for c in first)
    again = convert_responses(lebel_tree, tmp_path / "to", kind="float32", delete=True)
    assert {c.path: c.path.stat().st_mtime_ns for c in again} == stamps
    assert convert_responses(lebel_tree, tmp_path / "to", kind="float32", delete=True) == ()
    assert files_under(lebel_tree) == {
        "respdict.json",
        *(f"TextGrids/{story}.TextGrid" for story in ("buck", "life", "souls")),
    }
    assert len(files_under(tmp_path / "to" / "derivative")) == 6 + 4


def test_a_damaged_or_stale_copy_is_made_anew(lebel_tree: Path, tmp_path: Path) -> None:
    (first, *_) = convert_responses(lebel_tree, tmp_path / "to", kind="float32")
    with h5py.File(first.path, "r+") as file:
        file["data"][0, 0] += 1
    source = lebel_tree / first.path.relative_to(tmp_path / "to" / "derivative")
    md5 = hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest()
    assert "changed" in copy_fault(first.path, Rounding("float32"), md5=md5)
    assert "another" in copy_fault(first.path, Rounding("float16"), md5=md5)
    assert "another" in copy_fault(first.path, Rounding("float32"), md5="0" * 32)
    convert_responses(lebel_tree, tmp_path / "to", kind="float32")
    assert copy_fault(first.path, Rounding("float32"), md5=md5) == ""
    values = arrays(source)["data"].astype(np.float32)
    np.testing.assert_array_equal(arrays(first.path)["data"], values)


def test_an_original_stays_where_its_copy_differs(
    lebel_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounded = _convert.rounded
    monkeypatch.setattr(_convert, "rounded", lambda *given: rounded(*given) * 1.001)
    before = files_under(lebel_tree)
    with pytest.raises(InputError, match="differ from the rounded original"):
        convert_responses(lebel_tree, tmp_path / "to", kind="float32", delete=True)
    assert files_under(lebel_tree) == before
    assert files_under(tmp_path / "to") == set()


def spoil(path: Path, name: str, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file[name] = values


@pytest.mark.parametrize(
    ("spoiled", "got"),
    [
        (lambda path: spoil(path, "data", np.full((30, 12), 7e4)), "7e\\+?0?4|70000"),
        (lambda path: spoil(path, "data", np.ones((30, 12), np.int64)), "int64"),
        (lambda path: spoil(path, "data", np.ones(30)), "shape"),
        (lambda path: spoil(path, "other", np.ones((30, 12))), "also other"),
        (lambda path: path.write_bytes(path.read_bytes()[:900]), "cannot be read"),
        (lambda path: path.write_bytes(b"no hdf5"), "cannot be read"),
    ],
)
def test_files_that_cannot_be_converted_stay(
    lebel_tree: Path, tmp_path: Path, spoiled, got: str
) -> None:
    path = lebel_tree / "preprocessed_data" / "UTS01" / "buck.hf5"
    spoiled(path)
    content = path.read_bytes()
    with pytest.raises(InputError, match=got):
        convert_responses(lebel_tree, tmp_path / "to", kind="float16", delete=True)
    assert path.read_bytes() == content
    assert not any(name.endswith("buck.hf5") for name in files_under(tmp_path / "to"))
    assert not list((tmp_path / "to").rglob("*.part"))


def _external_link(file: h5py.File, key: str, other: Path) -> None:
    file[key] = h5py.ExternalLink(str(other), key)


def _virtual(file: h5py.File, key: str, other: Path) -> None:
    with h5py.File(other) as source:
        shape = source[key].shape
    layout = h5py.VirtualLayout(shape, np.float64)
    layout[:] = h5py.VirtualSource(str(other), key, shape)
    file.create_virtual_dataset(key, layout)


def _group(file: h5py.File, key: str, _other: Path) -> None:
    file.create_group(key)


WRITTEN_ELSEWHERE = {"link": _external_link, "virtual": _virtual, "group": _group}


@pytest.mark.parametrize("key", ["data", "individual_repeats"])
@pytest.mark.parametrize("written", WRITTEN_ELSEWHERE)
def test_values_that_are_not_in_the_file_itself_are_not_copied(
    lebel_tree: Path, tmp_path: Path, written: str, key: str
) -> None:
    path = lebel_tree / "preprocessed_data" / "UTS01" / "souls.hf5"
    other = tmp_path / "other.hf5"
    path.rename(other)
    with h5py.File(path, "w") as file:
        if key != "data":
            file["data"] = np.ones((30, 12))
        WRITTEN_ELSEWHERE[written](file, key, other)
    with pytest.raises(InputError, match=r"got a link|values kept in other files|dataset"):
        convert_responses(lebel_tree, tmp_path / "to", kind="float32", delete=True)
    assert path.exists()
    assert not any(name.endswith("souls.hf5") for name in files_under(tmp_path / "to"))


def test_what_was_not_downloaded_is_left_out(lebel_tree: Path, tmp_path: Path) -> None:
    recordings = lebel_tree / "preprocessed_data"
    for name in ("UTS01/buck.hf5", "UTS02/life.hf5"):
        (recordings / name).unlink()
    (recordings / "UTS01/buck.hf5").symlink_to("../.git/annex/objects/nowhere")
    (recordings / "UTS02/life.hf5").write_bytes(b"/annex/objects/MD5E-s1--0.hf5\n")
    (recordings / "UTS01/._life.hf5").write_bytes(b"Mac OS X")
    before = open_dataset("lebel2023", lebel_tree)
    converted = convert_responses(lebel_tree, tmp_path / "to", kind="float32", delete=True)
    assert {
        one.path.relative_to(tmp_path / "to/derivative/preprocessed_data").as_posix()
        for one in converted
    } == {
        f"{subject}/{story}.hf5"
        for subject in before.subjects
        for story in before.recordings(subject).values()
    }
    assert len(converted) == 4
    assert (recordings / "UTS01/buck.hf5").is_symlink()
    again = convert_responses(lebel_tree, tmp_path / "to", kind="float32", delete=True)
    assert again == ()
    with pytest.raises(InputError, match="2 hf5 files, none of them downloaded"):
        convert_responses(lebel_tree, tmp_path / "elsewhere", kind="float32")
    assert not (tmp_path / "elsewhere").exists()


def test_a_copy_with_a_link_is_made_anew(lebel_tree: Path, tmp_path: Path) -> None:
    (first, *_) = convert_responses(lebel_tree, tmp_path / "to", kind="float32")
    wanted = first.path.read_bytes()
    other = shutil.copy(first.path, tmp_path / "other.hf5")
    with h5py.File(first.path, "r+") as file:
        del file["data"]
        file["data"] = h5py.ExternalLink(str(other), "data")
    convert_responses(lebel_tree, tmp_path / "to", kind="float32")
    assert first.path.read_bytes() == wanted


@pytest.mark.parametrize("target", [".", "..", "float32"])
def test_targets_in_the_tree_are_refused(lebel_tree: Path, target: str) -> None:
    with pytest.raises(InputError, match="in the tree itself"):
        convert_responses(lebel_tree, lebel_tree / target, kind="float32")


def test_unknown_kinds_are_refused(lebel_tree: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="float32, float16"):
        convert_responses(lebel_tree, tmp_path / "to", kind="int8")
