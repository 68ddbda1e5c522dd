"""Files that lie about themselves, or that try to have other files read or code run."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_trees import N_ROWS

from brainaligner.core import InputError
from brainaligner.data import open_dataset

VALUES = np.random.default_rng(2).standard_normal((N_ROWS, 5)).astype(np.float32)


def npy(header: str, payload: bytes = b"") -> bytes:
    """An npy file with a header of our own."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + payload


def shaped(shape: str, payload: bytes = b"") -> bytes:
    return npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}", payload)


def sound_npy() -> bytes:
    file = io.BytesIO()
    np.save(file, VALUES)
    return file.getvalue()


def write_member(folder: Path, content: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(folder / "P1.npz", "w", compression) as archive:
        archive.writestr("alpha.npy", content)


def check_refused(folder: Path, message: str, subject: str = "P1") -> None:
    """Both the responses and the walk over all problems say so, in our own words."""
    dataset = open_dataset("folder", folder)
    with pytest.raises(InputError, match=message):
        dataset.responses(subject, "alpha")
    assert any(problem.severity == "error" for problem in dataset.problems())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (shaped("(1000000000, 200000)"), "0 bytes of values where"),
        (shaped(f"({10**30}, 5)"), "0 bytes of values where"),
        (shaped("(-30, 5)", VALUES.tobytes()), r"shape \(-30, 5\)"),
        (npy("{'descr': '<f4', 'shape': (("), "a header that cannot be read"),
        (npy("{[]: 1}"), "a header that cannot be read"),
        (npy("  {'descr':\n 3\n  'x"), "a header that cannot be read"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{", "a header that cannot be read"),
    ],
    ids=["terabytes", "beyond integers", "negative", "unclosed", "no literal", "indent", "long"],
)
def test_npy_headers_that_lie(own_folder: Path, content: bytes, message: str) -> None:
    write_member(own_folder, content)
    check_refused(own_folder, message)


def test_a_size_forged_in_the_zip_directory(own_folder: Path) -> None:
    write_member(own_folder, shaped("(536870911, 1)"))
    path = own_folder / "P1.npz"
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(raw)
    check_refused(own_folder, r"P1\.npz")


def test_a_compression_that_numpy_never_writes(own_folder: Path) -> None:
    pytest.importorskip("lzma")
    write_member(own_folder, sound_npy(), zipfile.ZIP_LZMA)
    path = own_folder / "P1.npz"
    raw = bytearray(path.read_bytes())
    raw[60:80] = b"\xff" * 20
    path.write_bytes(raw)
    check_refused(own_folder, "a compression")


@pytest.mark.parametrize("name", ["../alpha", "/etc/alpha", "beta/alpha", ".."])
def test_names_that_look_like_paths_are_names(own_folder: Path, name: str) -> None:
    words = "story,word,onset_s,offset_s\n" + "".join(
        f"{name},word,{6 * i},{6 * i + 0.5}\n" for i in range(9)
    )
    (own_folder / "words.csv").write_text(words, encoding="utf-8")
    (own_folder / "dataset.json").unlink()
    with zipfile.ZipFile(own_folder / "P1.npz", "w") as archive:
        archive.writestr(f"{name}.npy", sound_npy())
    before = sorted(own_folder.parent.rglob("*"))
    dataset = open_dataset("folder", own_folder)
    np.testing.assert_array_equal(dataset.responses("P1", name).values, VALUES)
    dataset.problems()
    assert sorted(own_folder.parent.rglob("*")) == before


def external_link(file: h5py.File, other: Path) -> None:
    file["alpha"] = h5py.ExternalLink(str(other), "secret")


def soft_link(file: h5py.File, other: Path) -> None:
    file["gate"] = h5py.ExternalLink(str(other), "/")
    file["alpha"] = h5py.SoftLink("/gate/secret")


def external_values(file: h5py.File, other: Path) -> None:
    raw = other.with_suffix(".raw")
    raw.write_bytes(VALUES.tobytes())
    place = [(str(raw), 0, VALUES.nbytes)]
    file.create_dataset("alpha", VALUES.shape, dtype=np.float32, external=place)


def virtual_values(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout(VALUES.shape, np.float32)
    layout[:] = h5py.VirtualSource(str(other), "secret", VALUES.shape)
    file.create_virtual_dataset("alpha", layout)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (external_link, "a link"),
        (soft_link, "a link"),
        (external_values, "values kept in other files"),
        (virtual_values, "values kept in other files"),
    ],
)
def test_hdf5_files_cannot_have_other_files_read(
    own_folder: Path, write: Callable[[h5py.File, Path], None], message: str
) -> None:
    other = own_folder.parent / "other.hf5"
    with h5py.File(other, "w") as file:
        file["secret"] = VALUES
    with h5py.File(own_folder / "P2.hf5", "w") as file:
        write(file, other)
    check_refused(own_folder, message, "P2")


def test_repeats_cannot_lie_in_another_hdf5_file(own_folder: Path) -> None:
    other = own_folder.parent / "other.hf5"
    with h5py.File(other, "w") as file:
        file["alpha"] = np.stack([VALUES, VALUES])
    with h5py.File(own_folder / "P2.hf5", "w") as file:
        file["alpha"] = VALUES
        file["repeats"] = h5py.ExternalLink(str(other), "/")
    with pytest.raises(InputError, match="a link"):
        open_dataset("folder", own_folder).repeats("P2", "alpha")


def test_a_name_that_is_no_text_spoils_no_other(own_folder: Path) -> None:
    with h5py.File(own_folder / "P2.hf5", "r+") as file:
        file[b"caf\xe9"] = VALUES
    dataset = open_dataset("folder", own_folder)
    assert dataset.stories("P2") == ("alpha", "beta", "gamma")


def test_a_header_line_without_end(own_folder: Path) -> None:
    (own_folder / "words.csv").write_text("story,word," + "x" * 200_000, encoding="utf-8")
    with pytest.raises(InputError, match=r"words\.csv, line 1"):
        open_dataset("folder", own_folder)


def test_a_matrix_of_parcels_beside_responses_is_no_subject(own_folder):
    before = open_dataset("folder", own_folder).subjects
    np.savez(own_folder / "parcels.npz", **{"P1/data": np.ones(3)})
    assert open_dataset("folder", own_folder).subjects == before
