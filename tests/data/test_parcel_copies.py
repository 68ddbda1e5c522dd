"""Parcel means instead of voxels: fetched, converted, compared with means by hand, refused."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from fault_server import Shop, serving
from fetch_runs import entries_of, shelves
from parcel_trees import N_VOXELS, PARCELS, publish_placed, write_atlas
from typer.testing import CliRunner, Result

from brainaligner.core import InputError
from brainaligner.data import (
    Atlas,
    CompactSettings,
    _parcel_copies,
    convert_responses,
    convert_to_parcels,
    open_dataset,
    parcellate,
    read_anatomy,
    read_atlas,
    read_parcel_coverage,
)
from brainaligner.study import app

pytestmark = pytest.mark.usefixtures("unchecked")
RECORDINGS = "derivative/preprocessed_data/UTS03"
REPEATED, ONCE = f"{RECORDINGS}/wheretheressmoke.hf5", f"{RECORDINGS}/sweetaspie.hf5"
MASK = "derivative/pycortex-db/UTS03/transforms/UTS03_auto/mask_thick.nii.gz"
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Folder of the toy atlas, and both fsLR spheres."""
    return write_atlas(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def labels(atlas: tuple[Path, Path, Path]) -> Atlas:
    return read_atlas(atlas[0] / "toy.dlabel.nii", atlas[0] / "toy+2mm.nii.gz")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, labels: Atlas) -> Files:
    """A published listener; voxels without a number in one story, a parcel without for a TR."""
    folder = tmp_path_factory.mktemp("published")
    files = publish_placed(folder / "tree")
    tree = write_files(folder / "copy", files)
    weights = parcellate(read_anatomy(tree, "UTS03"), labels).weights.toarray()
    with h5py.File(tree / ONCE, "r+") as file:
        values = file["data"][...]
        values[:, np.flatnonzero(weights[1])[:3]] = np.nan
        values[4, np.flatnonzero(weights[2])[:2]] = np.inf, -np.inf
        values[7, weights[3] > 0] = np.nan
        file["data"][...] = values
    return files | {ONCE: (tree / ONCE).read_bytes()}


def write_files(folder: Path, files: Files) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture
def tree(published: Files, tmp_path: Path) -> Path:
    """The published files on disk, to convert and to break."""
    return write_files(tmp_path / "tree", published)


@pytest.fixture
def fetch(published: Files, tmp_path: Path) -> Callable[..., Result]:
    """Call ``brainaligner fetch``; ``files`` and ``listed`` are what is served and promised."""

    def call(*more: str | Path, files: Files = published, listed: Files = published) -> Result:
        manifest = tmp_path / "manifest.csv"
        rows = [f"{e.path},{e.size},{e.md5},{e.version_id or ''}" for e in entries_of(listed)]
        manifest.write_text("\n".join(["path,size,md5,s3_version_id", *rows]), encoding="utf-8")
        with serving(Shop(shelves(files), asked=asked)) as base_url:
            given = ("fetch", "lebel2023", "--to", tmp_path / "to", "--base-url", base_url)
            arguments = (*given, "--manifest", manifest, *more)
            return CliRunner().invoke(app, [str(word) for word in arguments])

    asked: list[tuple[str, int]] = []
    call.asked = asked
    return call


def means_by_hand(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means of finite values, one number after the other."""
    found = np.full((len(values), len(weights)), np.nan)
    for row in range(len(values)):
        for parcel in range(len(weights)):
            pairs = [
                (value, weight)
                for value, weight in zip(values[row], weights[parcel], strict=True)
                if weight and np.isfinite(value)
            ]
            if pairs:
                found[row, parcel] = sum(v * w for v, w in pairs) / sum(w for _, w in pairs)
    return found


def check_copy(copy: Path, original: bytes, weights: np.ndarray) -> None:
    with h5py.File(copy) as file, h5py.File(io.BytesIO(original)) as source:
        assert set(file) - {"parcels"} == set(source)
        for name in source:
            assert file[name].dtype == np.float32
            assert file[name].chunks is not None
            got, values = file[name][...], source[name][...]
            assert got.shape == (*values.shape[:-1], len(PARCELS))
            flat = values.reshape(-1, values.shape[-1])
            wanted = means_by_hand(flat, weights).reshape(got.shape)
            np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-12, equal_nan=True)


def test_fetch_as_parcels(
    fetch: Callable[..., Result], published: Files, atlas: tuple, labels: Atlas, tmp_path: Path
) -> None:
    kept = ("--as", "parcels", "--atlas", atlas[0], "--delete-originals")
    plan = fetch(*kept, "--what", "responses,repeats,textgrids", "--plan")
    assert plan.exit_code == 0, plan.output
    assert f"asked for   {len(published)} files" in plan.output  # with the anatomy
    assert "every parcel was placed by the affine volume route" in plan.output
    done = fetch(*kept, "--what", "responses,repeats,textgrids", "--yes")
    assert done.exit_code == 0, done.output
    assert "UTS03: 4 of 5 parcels have voxels" in done.output
    assert "missing     deep" in done.output
    to = tmp_path / "to"
    assert f"--data {to / 'parcels'}" in done.output
    assert not list((to / "derivative").rglob("*.hf5"))
    weights = parcellate(read_anatomy(to, "UTS03"), labels).weights.toarray()
    for path in (path for path in published if path.endswith(".hf5")):
        check_copy(to / "parcels" / path, published[path], weights)
    with h5py.File(to / "parcels" / ONCE) as file:
        marks = dict(file.attrs)
        assert np.isnan(file["data"][:, 4]).all()
    assert marks["route"] == "0 parcels by the surface, 5 by the volume"
    md5 = {entry.path: entry.md5 for entry in entries_of(published)}
    assert marks["source_md5"] == md5[ONCE]
    assert all(len(marks[f"{name}_sha256"]) == 64 for name in ("atlas", "anatomy", "parcellation"))
    stamps = {p: p.stat().st_mtime_ns for p in (to / "parcels").rglob("*") if p.is_file()}
    n_asked = len(fetch.asked)
    again = fetch(*kept, "--yes")
    assert f"0 fetched, {len(published)} verified, 0 missing" in again.output
    assert len(fetch.asked) == n_asked
    assert {p: p.stat().st_mtime_ns for p in (to / "parcels").rglob("*") if p.is_file()} == stamps
    assert fetch(*kept, "--verify").exit_code == 0
    spheres = ("--sphere-left", atlas[1], "--sphere-right", atlas[2])
    other = fetch(*kept, *spheres, "--verify")
    assert other.exit_code == 1
    assert "a copy of another file, or of another kind" in other.output


def test_the_reader_opens_the_covered_parcels(tree: Path, labels: Atlas, tmp_path: Path) -> None:
    convert_to_parcels(tree, tmp_path / "to", labels)
    dataset = open_dataset("lebel2023", tmp_path / "to")
    assert [p for p in dataset.problems() if p.severity == "error"] == []
    space = dataset.space("UTS03")
    assert (space.kind, space.labels) == ("parcels", PARCELS[:4])
    got = dataset.responses("UTS03", "sweetaspie")
    assert got.replaced == 1  # a parcel whose voxels all had no number at one TR
    part = dataset.responses("UTS03", "sweetaspie", slice(1, 4, 2))
    np.testing.assert_array_equal(part.values, got.values[:, 1:4:2])
    assert part.space.labels == PARCELS[1:4:2]
    repeated = dataset.repeats("UTS03", "wheretheressmoke")
    assert repeated is not None
    assert repeated.repeats is not None
    assert repeated.replaced == 0
    with h5py.File(tmp_path / "to" / REPEATED) as file:
        np.testing.assert_array_equal(repeated.repeats, file["individual_repeats"][..., :4])
    coverage = read_parcel_coverage(tmp_path / "to" / REPEATED)
    assert coverage is not None
    assert (coverage.names, coverage.missing) == (PARCELS, ("deep",))
    parcellation = parcellate(read_anatomy(tree, "UTS03"), labels)
    np.testing.assert_array_equal(coverage.voxels, parcellation.voxels)
    whole = coverage.all_parcels(repeated.repeats)
    assert whole.shape[-1] == len(PARCELS)
    np.testing.assert_array_equal(whole[..., :4], repeated.repeats)
    assert np.isnan(whole[..., 4]).all()
    with pytest.raises(InputError, match="3 columns"):
        coverage.all_parcels(repeated.values[:, :3])
    assert read_parcel_coverage(tree / ONCE) is None
    with pytest.raises(InputError, match="also parcels"):
        convert_responses(tmp_path / "to", tmp_path / "again", kind="float32")


def test_the_surface_route_weighs_with_vertices(
    tree: Path, labels: Atlas, atlas: tuple, published: Files, tmp_path: Path
) -> None:
    spheres = (atlas[1], atlas[2])
    converted = convert_to_parcels(tree, tmp_path / "to", labels, fslr_spheres=spheres, delete=True)
    assert all(one.original_removed for one in converted)
    weights = parcellate(read_anatomy(tree, "UTS03"), labels, fslr_spheres=spheres).weights
    assert len(set(weights.data)) > 3
    check_copy(tmp_path / "to" / ONCE, published[ONCE], weights.toarray())


def test_copies_by_another_way_are_made_anew_and_never_mixed(
    tree: Path, labels: Atlas, atlas: tuple, tmp_path: Path
) -> None:
    convert_to_parcels(tree, tmp_path / "to", labels)
    old = (tmp_path / "to" / ONCE).read_bytes()
    convert_to_parcels(tree, tmp_path / "to", labels, fslr_spheres=(atlas[1], atlas[2]))
    with h5py.File(tmp_path / "to" / ONCE) as file:
        assert file.attrs["route"] == "4 parcels by the surface, 1 by the volume"
    (tmp_path / "to" / ONCE).write_bytes(old)
    dataset = open_dataset("lebel2023", tmp_path / "to")
    with pytest.raises(InputError, match="parcels of another atlas or anatomy"):
        dataset.responses("UTS03", "sweetaspie")
    (tmp_path / "to" / ONCE).write_bytes((tree / ONCE).read_bytes())
    dataset = open_dataset("lebel2023", tmp_path / "to")
    with pytest.raises(InputError, match="got voxels"):
        dataset.responses("UTS03", "sweetaspie")


@pytest.mark.parametrize(
    ("options", "got"),
    [
        (("--as", "parcels"), "no atlas"),
        (("--as", "parcels", "--atlas", "nowhere"), "0 label files"),
        (("--as", "parcels", "--atlas", "wrong"), "wanted 0 to 5"),
        (("--as", "float32", "--atlas", "ATLAS"), "an atlas"),
        (("--atlas", "ATLAS"), "no --as"),
        (("--sphere-left", "LEFT"), "no --as"),
        (("--as", "parcels", "--atlas", "ATLAS", "--sphere-left", "LEFT"), "only "),
        (("--as", "parcel", "--atlas", "ATLAS"), "float16, parcels"),
    ],
)
def test_bad_options_are_refused_before_any_work(
    fetch: Callable[..., Result],
    atlas: tuple[Path, Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    got: str,
) -> None:
    import nibabel

    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong/toy.dlabel.nii").write_bytes((atlas[0] / "toy.dlabel.nii").read_bytes())
    volume = nibabel.Nifti1Image(np.full((3, 3, 3), 77, np.int16), np.eye(4))
    nibabel.save(volume, tmp_path / "wrong/other+2mm.nii.gz")
    places = {"ATLAS": str(atlas[0]), "LEFT": str(atlas[1])}
    done = fetch(*(places.get(word, word) for word in options), "--yes")
    assert isinstance(done.exception, InputError)
    assert got in str(done.exception)
    assert fetch.asked == []
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_nothing_is_said_of_parcels_where_no_responses_were_asked_for(
    fetch: Callable[..., Result], atlas: tuple, more: tuple[str, ...]
) -> None:
    words = ("--as", "parcels", "--atlas", atlas[0], "--what", "textgrids", "--yes", *more)
    for done in (fetch(*words), fetch(*words, "--verify")):
        assert done.exit_code == 0, done.output
        assert "0 missing" in done.stdout or '"missing": []' in done.stdout
        assert "parcels have voxels" not in done.stdout
        assert not more or '"parcels": {}' in done.stdout


@pytest.mark.parametrize("folder", ["freesurfer_subjdir", "pycortex-db"])
def test_a_manifest_without_anatomy_is_refused(
    fetch: Callable[..., Result], published: Files, atlas: tuple, folder: str
) -> None:
    listed = {path: content for path, content in published.items() if folder not in path}
    done = fetch("--as", "parcels", "--atlas", atlas[0], "--yes", listed=listed)
    assert isinstance(done.exception, InputError)
    assert f"no {folder} in the manifest" in str(done.exception)
    assert fetch.asked == []


@pytest.mark.parametrize("name", ["talairach.xfm", "mask_thick.nii.gz", "rh.pial"])
def test_responses_are_not_fetched_where_the_anatomy_is_missing(
    fetch: Callable[..., Result], published: Files, atlas: tuple, tmp_path: Path, name: str
) -> None:
    files = {path: content for path, content in published.items() if not path.endswith(name)}
    done = fetch("--as", "parcels", "--atlas", atlas[0], "--yes", files=files)
    assert done.exit_code == 1, done.output
    assert done.output.count("no parcels of UTS03: ") == 3
    assert not any(address.endswith(".hf5") for address, _ in fetch.asked)
    mended = fetch("--as", "parcels", "--atlas", atlas[0], "--yes")
    assert mended.exit_code == 0, mended.output
    assert (tmp_path / "to" / "parcels" / ONCE).is_file()
    assert (tmp_path / "to" / ONCE).is_file()


def _other_columns(tree: Path) -> None:
    with h5py.File(tree / ONCE, "w") as file:
        file["data"] = np.zeros((30, N_VOXELS - 1))


def _truncate(tree: Path) -> None:
    os.truncate(tree / ONCE, (tree / ONCE).stat().st_size - 1000)


def _too_large(tree: Path) -> None:
    with h5py.File(tree / ONCE, "r+") as file:
        file["data"][...] = 1e300


def _no_mask(tree: Path) -> None:
    (tree / MASK).unlink()


def _no_coverage(tree: Path) -> None:
    import nibabel

    image = nibabel.load(tree / MASK)
    far = np.zeros(image.shape, np.uint8)
    far[:2, :2, :2] = 1
    nibabel.save(nibabel.Nifti1Image(far, image.affine), tree / MASK)


@pytest.mark.parametrize(
    ("damage", "got"),
    [
        (_other_columns, "399 columns; wanted 400"),
        (_truncate, "cannot be read"),
        (_too_large, "1e\\+300"),
        (_no_mask, "mask_thick"),
        (_no_coverage, "no voxel in any parcel"),
    ],
)
def test_an_original_that_cannot_be_converted_stays(
    tree: Path, labels: Atlas, tmp_path: Path, damage: Callable[[Path], None], got: str
) -> None:
    damage(tree)
    content = (tree / ONCE).read_bytes()
    with pytest.raises(InputError, match=got):
        convert_to_parcels(tree, tmp_path / "to", labels, delete=True)
    assert (tree / ONCE).read_bytes() == content
    assert not (tmp_path / "to" / ONCE).exists()
    assert not list(tmp_path.rglob("*.part"))


def _slightly_wrong(means: np.ndarray) -> np.ndarray:
    means[-1, 0] *= 1.00001
    return means


def _zero_for_missing(means: np.ndarray) -> np.ndarray:
    return np.nan_to_num(means)


@pytest.mark.parametrize("spoil", [_slightly_wrong, _zero_for_missing])
def test_an_original_stays_where_its_copy_differs(
    tree: Path, labels: Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable
) -> None:
    means = _parcel_copies._means
    monkeypatch.setattr(_parcel_copies, "_means", lambda *given: spoil(means(*given)))
    with pytest.raises(InputError, match="differs from the mean of its voxels"):
        convert_to_parcels(tree, tmp_path / "to", labels, delete=True)
    assert len(list(tree.rglob("*.hf5"))) == 3
    assert not [path for path in (tmp_path / "to").rglob("*") if path.is_file()]


def test_a_full_disk_ends_the_fetch_which_goes_on_later(
    fetch: Callable[..., Result], atlas: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept = ("--as", "parcels", "--atlas", atlas[0], "--delete-originals", "--yes")
    with monkeypatch.context() as patch:
        patch.setattr(_parcel_copies.ParcelMeans, "compare", full)
        done = fetch(*kept)
    assert "a full disk" in str(done.exception)
    assert not list((tmp_path / "to" / "parcels").rglob("*.hf5*"))
    assert list((tmp_path / "to" / "derivative").rglob("*.hf5"))
    assert fetch(*kept).exit_code == 0


def test_a_killed_conversion_leaves_nothing_under_a_final_name(
    tree: Path, atlas: tuple[Path, Path, Path], labels: Atlas, tmp_path: Path
) -> None:
    code = """
import os, sys
from pathlib import Path
from brainaligner.data import _parcel_copies, convert_to_parcels, read_atlas
_parcel_copies.ParcelMeans.compare = lambda *_: os._exit(9)
atlas = Path(sys.argv[3])
labels = read_atlas(atlas / "toy.dlabel.nii", atlas / "toy+2mm.nii.gz")
convert_to_parcels(Path(sys.argv[1]), Path(sys.argv[2]), labels, delete=True)
"""
    to = tmp_path / "to"
    done = subprocess.run([sys.executable, "-c", code, tree, to, atlas[0]], timeout=120)
    assert done.returncode == 9
    assert [path.suffix for path in to.rglob("*") if path.is_file()] == [".part"]
    assert len(list(tree.rglob("*.hf5"))) == 3
    convert_to_parcels(tree, to, labels, delete=True)
    assert len(list(to.rglob("*.hf5"))) == 3
    assert not list(tree.rglob("*.hf5")) + list(to.rglob("*.part"))


def _as_a_group(file: h5py.File, key: str, _other: Path) -> None:
    del file[key]
    file.create_group(key)


def _as_a_link(file: h5py.File, key: str, other: Path) -> None:
    del file[key]
    file[key] = h5py.ExternalLink(str(other), key)


def _as_fractions(file: h5py.File, key: str, _other: Path) -> None:
    del file[key]
    file[key] = np.array([0.5, 0.5])


@pytest.mark.parametrize(
    ("damage", "keys", "got"),
    [
        (_as_a_group, ("data", "parcels/names", "parcels/voxels"), "dataset"),
        (_as_a_link, ("data", "parcels/names", "parcels/voxels"), "got a link"),
        (_as_fractions, ("parcels/names", "parcels/voxels"), "are none"),
    ],
)
def test_coverage_that_a_file_does_not_hold_itself_is_refused(
    tmp_path: Path, damage: Callable[[h5py.File, str, Path], None], keys: tuple[str, ...], got: str
) -> None:
    path, other = tmp_path / "one.hf5", tmp_path / "other.hf5"
    for key in keys:
        for place in (path, other):
            with h5py.File(place, "w") as file:
                file["data"] = np.ones((3, 2))
                file["parcels/names"], file["parcels/voxels"] = np.array([b"a", b"b"]), [0, 4]
                file.attrs.update({"kind": "parcels", "parcellation_sha256": "0" * 64})
        coverage = read_parcel_coverage(path)
        assert coverage is not None
        assert (coverage.names, coverage.missing) == (("a", "b"), ("a",))
        with h5py.File(path, "r+") as file:
            damage(file, key, other)
        with pytest.raises(InputError, match=got):
            read_parcel_coverage(path)


@pytest.mark.parametrize(
    ("kind", "more"), [("parcels", {}), ("float32", {"fslr_spheres": (Path("l"), Path("r"))})]
)
def test_settings_that_do_not_fit(kind: str, more: dict) -> None:
    with pytest.raises(InputError, match="parcels"):
        CompactSettings(kind, **more)
