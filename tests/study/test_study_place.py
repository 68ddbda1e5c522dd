"""Placing voxels and their ceilings, from the command line, on simulated trees."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from placed_trees import PARCELS, SETTINGS, planted_label, write_atlas, write_placed_tree
from scipy.sparse import csr_array
from study_trees import Cli, save_own_data

from brainaligner.data import open_dataset
from brainaligner.evaluation import noise_ceiling
from brainaligner.report import fsaverage5_sphere, no_map_reason
from brainaligner.study._parcels import read_parcel_file

pytestmark = pytest.mark.usefixtures("unchecked")  # typer hands commands classes of its own
SUBJECTS = ("SIM01", "SIM02")
VERTICES = "derivative/pycortex-db/{}/fsaverage5_vertices.npy"


@pytest.fixture(scope="module")
def sound_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated listeners with anatomy. Tests must not change it."""
    return write_placed_tree(tmp_path_factory.mktemp("placed") / "tree")


@pytest.fixture
def tree(sound_tree: Path, tmp_path: Path) -> Path:
    """A copy to write to and to break, without the vertices that the simulator planted."""
    copy = shutil.copytree(sound_tree, tmp_path / "tree")
    for subject in SUBJECTS:
        (copy / VERTICES.format(subject)).unlink()
    return copy


@pytest.fixture(scope="module")
def planted(sound_tree: Path) -> dict[str, np.ndarray]:
    """The vertex that each voxel was built on."""
    return {s: np.load(sound_tree / VERTICES.format(s), allow_pickle=False) for s in SUBJECTS}


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Folder of an atlas on the sphere, and both fsLR spheres."""
    folder = tmp_path_factory.mktemp("toy")
    left, right = write_atlas(folder)
    return folder / "atlas", left, right


# ----------------------------------------------------------------------------- place


def test_place_gives_the_reader_vertices(
    cli: Cli, tree: Path, planted: dict[str, np.ndarray]
) -> None:
    before = open_dataset("lebel2023", tree).space("SIM01")
    assert before.vertices is None
    assert no_map_reason(before) is not None
    done = cli("data", "place", tree)
    assert done.code == 0, done.err
    dataset = open_dataset("lebel2023", tree)
    sphere = np.asarray(fsaverage5_sphere()) / 100
    for subject, size, line in zip(SUBJECTS, SETTINGS.n_voxels, done.out.splitlines(), strict=True):
        space = dataset.space(subject)
        assert space.vertices is not None
        assert no_map_reason(space) is None
        on = space.vertices >= 0
        assert line.startswith(f"{subject}: {size} voxels, {on.sum()} on the surface, median ")
        assert on.mean() > 0.95
        near = (sphere[space.vertices] * sphere[planted[subject]]).sum(axis=1)
        same_half = (space.vertices < 10_242) == (planted[subject] < 10_242)
        assert (on & same_half & (near > np.cos(0.1))).mean() > 0.9


def test_place_says_all_that_is_missing_and_goes_on(cli: Cli, tree: Path) -> None:
    (tree / "derivative/freesurfer_subjdir/SIM02/surf/lh.sphere.reg").unlink()
    (tree / "derivative/pycortex-db/SIM02/surfaces/wm_rh.npz").unlink()
    done = cli("data", "place", tree, "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert [one["subject"] for one in said["placed"]] == ["SIM01"]
    assert said["placed"][0]["voxels"] == SETTINGS.n_voxels[0]
    assert 0 < said["placed"][0]["median_mm"] < 2.3
    assert Path(said["placed"][0]["path"]).exists()
    assert "lh.sphere.reg" in said["not_placed"]["SIM02"]
    assert "wm_rh" in said["not_placed"]["SIM02"]
    assert not (tree / VERTICES.format("SIM02")).exists()


def test_place_of_a_named_subject_that_fails_exits_with_1(cli: Cli, tree: Path) -> None:
    shutil.rmtree(tree / "derivative/freesurfer_subjdir/SIM02")
    done = cli("data", "place", tree, "--subjects", "SIM01,SIM02")
    assert done.code == 1
    assert "SIM02: NOT PLACED: " in done.out
    assert cli("data", "place", tree, "--subjects", "SIM01").code == 0


def test_place_mends_a_stale_file(cli: Cli, tree: Path) -> None:
    np.save(tree / VERTICES.format("SIM01"), np.zeros(3, np.int32))
    assert cli("data", "place", tree, "--subjects", "SIM01").code == 0
    assert open_dataset("lebel2023", tree).space("SIM01").size == SETTINGS.n_voxels[0]


def _drop_freesurfer(tree: Path) -> None:
    shutil.rmtree(tree / "derivative/freesurfer_subjdir")


def _swap_masks(tree: Path) -> None:
    """Masks of the wrong listener: responses have other columns."""
    masks = [
        tree / f"derivative/pycortex-db/{s}/transforms/{s}_auto/mask_thick.nii.gz" for s in SUBJECTS
    ]
    first, second = (mask.read_bytes() for mask in masks)
    masks[0].write_bytes(second)
    masks[1].write_bytes(first)


def _break_transforms(tree: Path) -> None:
    for path in tree.rglob("matrices.xfm"):
        path.write_text("{}", encoding="utf-8")


def _drop_database(tree: Path) -> None:
    shutil.rmtree(tree / "derivative/pycortex-db")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (_drop_freesurfer, "rh.sphere.reg"),
        (_swap_masks, "columns"),
        (_break_transforms, "coord"),
        (_drop_database, "pycortex-db"),
    ],
)
def test_place_of_nobody_is_one_clear_line(
    cli: Cli, tree: Path, damage: Callable[[Path], None], word: str
) -> None:
    damage(tree)
    done = cli("data", "place", tree)
    assert done.code == 2
    assert len(done.lines) == 1
    assert word in done.err
    assert not list(tree.rglob("fsaverage5_vertices.npy"))


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("SIM03", "SIM0"),
        ("../pycortex-db/SIM01", "unknown subject"),
        ("SIM01,nobody", "subject 'nobody'"),
        ("/", "subject"),
    ],
)
def test_place_of_an_unknown_subject(cli: Cli, sound_tree: Path, name: str, word: str) -> None:
    done = cli("data", "place", sound_tree, "--subjects", name)
    assert done.code == 2
    assert len(done.lines) == 1
    assert word in done.err


# ---------------------------------------------------------------------------- parcels


def read_matrix(path: Path, subject: str) -> csr_array:
    with np.load(path, allow_pickle=False) as arrays:
        parts = (arrays[f"{subject}/{name}"] for name in ("data", "indices", "indptr"))
        return csr_array(tuple(parts), shape=tuple(arrays[f"{subject}/shape"]))


def test_parcels_by_surface_recover_what_was_planted(
    cli: Cli,
    sound_tree: Path,
    atlas: tuple[Path, Path, Path],
    planted: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    to = tmp_path / "out" / "parcels.npz"
    folder, left, right = atlas
    spheres = ("--sphere-left", left, "--sphere-right", right)
    done = cli("data", "parcels", sound_tree, "--atlas", folder, "--to", to, *spheres)
    assert done.code == 0, done.err
    assert "surface route" in done.out
    assert "SIM01: 12 of 13 parcels have voxels; missing: deep" in done.out
    for subject, size in zip(SUBJECTS, SETTINGS.n_voxels, strict=True):
        matrix = read_matrix(to, subject)
        assert matrix.shape == (len(PARCELS), size)
        sums = np.asarray(matrix.sum(axis=1))
        np.testing.assert_allclose(sums[:12], 1)
        assert sums[12] == 0
        best = matrix.toarray().argmax(axis=0) + 1
        vertex = planted[subject]
        place = np.asarray(fsaverage5_sphere())[vertex] / 100
        expected = np.where(
            vertex < 10_242, planted_label(place, left=True), planted_label(place, left=False)
        )
        assert (best == expected).mean() > 0.9
    rows = [line.split("\t") for line in to.with_suffix(".tsv").read_text().splitlines()]
    assert rows[0] == ["subject", "label", "parcel", "route", "voxels"]
    assert [row[:4] for row in rows[1:3]] == [
        ["SIM01", "1", "R_0", "surface"],
        ["SIM01", "2", "R_1", "surface"],
    ]
    assert rows[13] == ["SIM01", "13", "deep", "volume", "0"]
    assert len(rows) == 1 + 2 * len(PARCELS)
    counts = np.diff(read_matrix(to, "SIM02").indptr)
    assert [int(row[4]) for row in rows[14:]] == counts.tolist()


def test_parcels_by_volume_say_so(
    cli: Cli, sound_tree: Path, atlas: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    to = tmp_path / "parcels.npz"
    done = cli(
        "data", "parcels", sound_tree, "--atlas", atlas[0], "--to", to, "--subjects", "SIM02"
    )
    assert done.code == 0, done.err
    assert "every parcel was placed by the affine volume route" in done.out
    assert "SIM01" not in done.out
    assert "\tsurface\t" not in to.with_suffix(".tsv").read_text()
    assert "BrainLM will need" in done.out
    assert sorted(path.name for path in tmp_path.glob("parcels*")) == ["parcels.npz", "parcels.tsv"]


def test_parcels_keep_the_coordinates_of_the_atlas(
    cli: Cli, sound_tree: Path, atlas: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    home = tmp_path / "atlas"
    shutil.copytree(atlas[0], home)
    lines = [f"{label}\t{label}\t{-label}\t0" for label in range(1, 14)]
    (home / "toy_Coordinates.dat").write_text("\n".join(lines) + "\n")
    call = ("data", "parcels", sound_tree, "--atlas", home, "--to", tmp_path / "parcels.npz")
    done = cli(*call, "--subjects", "SIM02")
    assert done.code == 0, done.err
    found = read_parcel_file(tmp_path / "parcels.npz", "SIM02")
    assert found.coordinates[4].tolist() == [5, -5, 0]
    assert found.weights is not None
    assert found.weights.shape[0] == 13
    (home / "other.dat").write_text("1 2 3 4\n")
    refused = cli(*call)
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert "other.dat" in refused.err


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"--to": "parcels.csv"}, ".npz"),
        ({"--atlas": "no-such-folder"}, "label files"),
        ({"--atlas": "."}, "A424.dlabel.nii"),
        ({"--sphere-left": "left.gii"}, "no such file: left.gii"),
        ({"--sphere-left": __file__}, "both spheres"),
        ({"--sphere-left": __file__, "--sphere-right": __file__}, "GIFTI"),
        ({"--subjects": "SIM9"}, "SIM0"),
    ],
)
def test_parcels_refuse_bad_input(
    cli: Cli,
    sound_tree: Path,
    atlas: tuple[Path, Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    word: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"--atlas": str(atlas[0]), "--to": "parcels.npz"} | changes
    done = cli("data", "parcels", sound_tree, *(word for pair in options.items() for word in pair))
    assert done.code == 2
    assert len(done.lines) == 1
    assert word in done.err
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------- ceiling


def test_ceilings_are_those_of_all_columns_at_once(
    cli: Cli, sound_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brainaligner.study._ceilings._SLICE_CELLS", 100_000)
    to = tmp_path / "ceiling.tsv"
    done = cli("data", "ceiling", sound_tree, "--reader", "lebel2023", "--to", to)
    assert done.code == 0, done.err
    head, *rows = [line.split("\t") for line in to.read_text().splitlines()]
    assert len(rows) == sum(SETTINGS.n_voxels)
    values = np.array([row[5:] for row in rows], dtype=float)
    dataset = open_dataset("lebel2023", sound_tree)
    start = 0
    for subject, size, line in zip(
        SUBJECTS, SETTINGS.n_voxels, done.out.splitlines()[:2], strict=True
    ):
        whole = dataset.repeats(subject, "lanternkeeper")
        assert whole is not None
        assert whole.repeats is not None
        expected = noise_ceiling(whole.repeats)
        own = values[start : start + size]
        assert {tuple(row[:2]) for row in rows[start : start + size]} == {
            (subject, "lanternkeeper")
        }
        assert [row[2] for row in rows[start : start + size]] == [str(i) for i in range(size)]
        for column, name in enumerate(head[5:]):
            np.testing.assert_allclose(own[:, column], getattr(expected, name), rtol=1e-5)
        seen = int(expected.has_signal.sum())
        assert 0 < seen < size
        assert line.startswith(f"{subject}, lanternkeeper: {seen} of {size} targets have a ceiling")
        assert f"mean CCmax {np.nanmean(expected.cc_max):.3f} over those" in line
        start += size


def test_ceilings_of_own_data(cli: Cli, data: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    signal, noise = rng.standard_normal((48, 4)), rng.standard_normal((5, 48, 4))
    repeats = np.where(np.arange(4) < 2, signal + 0.5 * noise, noise).astype(np.float32)
    with h5py.File(data / "P3.hf5", "w") as file:
        for story in ("apple", "birch"):
            file[story] = repeats.mean(axis=0)
        file["repeats/birch"] = repeats
    to = tmp_path / "ceiling.tsv"
    done = cli("data", "ceiling", data, "--to", to, "--subjects", "P3", "--stories", "apple,birch")
    assert done.code == 0, done.err
    rows = [line.split("\t") for line in to.read_text().splitlines()[1:]]
    assert [row[:5] for row in rows] == [["P3", "birch", str(i), "5", "48"] for i in range(4)]
    explainable = np.array([float(row[5]) for row in rows])
    np.testing.assert_allclose(explainable, [0.8, 0.8, 0, 0], atol=0.15)  # 1 / (1 + .25)
    assert float(rows[0][9]) > 0.9


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "no single presentations"),
        ({"--to": "ceiling.csv"}, ".tsv"),
        ({"--to": "words.csv/ceiling.tsv"}, "cannot be written"),
        ({"--stories": "aple"}, "apple"),
        ({"--subjects": "P9"}, "P1"),
        ({"--reader": "lebel2032"}, "lebel2023"),
    ],
)
def test_ceiling_refuses_bad_input(
    cli: Cli,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    word: str,
) -> None:
    if "words.csv" in changes.get("--to", ""):
        with h5py.File(data / "P3.hf5", "w") as file:
            file["apple"] = np.random.default_rng(0).standard_normal((48, 2))
            file["repeats/apple"] = np.random.default_rng(1).standard_normal((2, 48, 2))
    monkeypatch.chdir(data)
    before = sorted(data.iterdir())
    options = {"--to": "ceiling.tsv"} | changes
    done = cli("data", "ceiling", data, *(word for pair in options.items() for word in pair))
    assert done.code == 2
    assert len(done.lines) == 1
    assert word in done.err
    assert sorted(data.iterdir()) == before


def test_ceiling_names_the_story_whose_repeats_are_too_short(cli: Cli, tmp_path: Path) -> None:
    own = save_own_data(tmp_path / "own", n_rows=30)
    with h5py.File(own / "P3.hf5", "w") as file:
        file["fig"] = np.random.default_rng(0).standard_normal((30, 2))
        file["repeats/fig"] = np.random.default_rng(1).standard_normal((2, 30, 2))
    done = cli("data", "ceiling", own, "--to", tmp_path / "ceiling.tsv")
    assert done.code == 2
    assert "repeats of P3, story 'fig'" in done.err
    assert "--stories" in done.err
    assert not list(tmp_path.glob("*ceiling*"))
