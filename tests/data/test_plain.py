"""Columns read without the HDF5 library: the same bits as with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from brainaligner.core import InputError, all_finite
from brainaligner.data import _archive, _plain, open_dataset
from brainaligner.data._archive import hdf_columns
from brainaligner.data._plain import plain_array, read_plain_columns
from brainaligner.data._slices import finite_float32

SHAPES = {"data": (23, 5000), "individual_repeats": (3, 23, 5000)}
SLICES = [slice(None), slice(0, 1), slice(4999, None), slice(100, 4321), slice(7, 4000, 3)]


def odd_values(shape: tuple[int, ...]) -> np.ndarray:
    """Values of all sizes, with NaN, infinite ones, and some that float32 cannot hold."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(shape) * 10.0 ** rng.integers(-44, 30, shape)
    values.reshape(-1)[rng.integers(0, values.size, 60)] = np.tile(
        [np.nan, np.inf, -np.inf, 1e39, -1e39, -0.0], 10
    )
    return values


def write(path: Path, dtype: str = "<f8", **options) -> Path:
    user_block = options.pop("userblock_size", 0)
    with h5py.File(path, "w", userblock_size=user_block) as file:
        for name, shape in SHAPES.items():
            file.create_dataset(name, data=odd_values(shape), dtype=dtype, **options)
    return path


def is_plain(path: Path) -> bool:
    with h5py.File(path) as file:
        return plain_array(file, file["data"]) is not None


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("columns", SLICES)
@pytest.mark.parametrize(
    ("options", "plain"),
    [
        ({}, True),
        ({"dtype": "<f4"}, True),
        ({"userblock_size": 512}, True),
        ({"dtype": "<f2"}, False),
        ({"dtype": ">f8"}, False),
        ({"chunks": True}, False),
        ({"chunks": True, "compression": "gzip", "shuffle": True}, False),
    ],
)
def test_the_same_bits_as_hdf5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict, plain: bool, columns: slice
) -> None:
    monkeypatch.setattr(_plain, "_PIECE", 1 << 10)
    path = write(tmp_path / "x.hf5", **options)
    assert is_plain(path) == plain
    for name in SHAPES:
        got = hdf_columns(path, name, columns)
        with h5py.File(path) as file:
            whole = file[name].astype(np.float32)[...]
        wanted = whole[..., columns]
        assert got.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
        assert np.nan_to_num(got).tobytes() == np.nan_to_num(wanted).tobytes()
        finite, replaced = finite_float32(got)
        assert replaced == int((~np.isfinite(wanted)).sum())
        np.testing.assert_array_equal(finite, np.where(np.isfinite(wanted), wanted, 0))


def test_the_reader_takes_both_ways(lebel_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lebel_tree / "preprocessed_data/UTS01/souls.hf5"
    with h5py.File(path, "r+") as file:
        file["data"][3, 5], file["individual_repeats"][1, 2, 6] = np.nan, np.inf
    fast = open_dataset("lebel2023", lebel_tree).repeats("UTS01", "souls", slice(2, 11))
    monkeypatch.setattr(_archive, "_plain_layout", lambda *_: None)
    slow = open_dataset("lebel2023", lebel_tree).repeats("UTS01", "souls", slice(2, 11))
    assert fast is not None
    assert slow is not None
    assert fast.replaced == slow.replaced == 2
    assert fast.values.tobytes() == slow.values.tobytes()
    assert fast.repeats.tobytes() == slow.repeats.tobytes()


def unwritten(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (4, 3), "<f8", fillvalue=2.5)


def compact(path: Path) -> None:
    with h5py.File(path, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((4, 3))
        h5py.h5d.create(file.id, b"data", h5py.h5t.IEEE_F64LE, space, plist)
        file["data"][...] = 2.5


@pytest.mark.parametrize("prepare", [unwritten, compact])
def test_what_has_no_place_in_the_file_is_left_to_hdf5(
    tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    path = tmp_path / "x.hf5"
    prepare(path)
    assert not is_plain(path)
    np.testing.assert_array_equal(hdf_columns(path, "data", slice(1, 3)), np.full((4, 2), 2.5))


@pytest.mark.parametrize("missing", [1, 8, 40_000, 900_000])
def test_a_truncated_file_is_refused(tmp_path: Path, missing: int) -> None:
    path = write(tmp_path / "x.hf5")
    os.truncate(path, path.stat().st_size - missing)
    with pytest.raises(InputError, match=r"x\.hf5.*cannot be read"):
        hdf_columns(path, "individual_repeats", slice(None))


def test_a_file_that_is_cut_while_it_is_open_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.hf5")
    with h5py.File(path) as file:
        plain = plain_array(file, file["individual_repeats"])
        assert plain is not None
        os.truncate(path, path.stat().st_size - 4)
        with path.open("rb") as raw, pytest.raises(EOFError, match="4 bytes too early"):
            read_plain_columns(raw.fileno(), plain, range(4990, 5000))


def test_a_file_that_is_written_anew_is_looked_at_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "x.hf5")
    before = hdf_columns(path, "data", slice(0, 3))
    with h5py.File(path, "w") as file:
        file["other"] = np.zeros(1000)
        file["data"] = np.full((4, 7), 2.5)
    assert before.shape[0] != 4
    np.testing.assert_array_equal(hdf_columns(path, "data", slice(1, 3)), np.full((4, 2), 2.5))


def test_a_system_that_gives_less_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = write(tmp_path / "x.hf5", "<f4"), os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, to, at: whole(fd, [to[0][:1001]], at))
    got = hdf_columns(path, "data", slice(0, 2000))
    monkeypatch.undo()
    assert got.tobytes() == hdf_columns(path, "data", slice(0, 2000)).tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_bad_value_among_many_is_found(dtype: type, bad: float) -> None:
    values = np.random.default_rng(1).standard_normal((50, 40)).astype(dtype)
    values[3, 4], values[5, 6] = np.finfo(dtype).max, -np.finfo(dtype).max
    assert all_finite(values)
    assert all_finite(values[::2, ::3])
    for place in ((0, 0), (3, 4), (49, 39)):
        faulty = values.copy()
        faulty[place] = bad
        assert not all_finite(faulty)
    faulty[0], faulty[1] = np.inf, -np.inf
    assert not all_finite(faulty)
