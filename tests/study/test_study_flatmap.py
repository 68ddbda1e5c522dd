"""A simulated tree with anatomy, and all that can be done with it, from the command line."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from study_trees import Cli, merged, run_process, save_study, tiny_study

from brainaligner.core import InputError
from brainaligner.data import open_dataset, pycortex_files, read_anatomy
from brainaligner.report import FlatHemisphere, flat_pixels, pycortex_pixels, pycortex_version
from brainaligner.study._flatmaps import subject_canvas

pytestmark = pytest.mark.usefixtures("unchecked")  # typer hands commands classes of its own
N_VOXELS = (900, 600)
DATABASE = "derivative/pycortex-db"
# Not importorskip: importing pycortex writes into the user's configuration.
needs_pycortex = pytest.mark.skipif(pycortex_version() is None, reason="no pycortex installed")


@pytest.fixture(scope="module")
def study(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that simulates two listeners."""
    tree = {"n_voxels": list(N_VOXELS), "signal": [1.0, 0.8], "n_repeats": 2, "n_directions": 4}
    folder = tmp_path_factory.mktemp("anatomy")
    changes = {
        "dataset": {
            "reader": "simulated",
            "folder": None,
            "simulation": {"features": "one", "tree": tree},
        },
        "arms": {"second": None},
        "split": {"counts": [8, 2, 3]},
    }
    return save_study(folder / "study.yaml", merged(tiny_study(checkpoint, folder), changes))


@pytest.fixture(scope="module")
def sound_tree(study: Path) -> Path:
    """The tree that ``data simulate --anatomy`` wrote. Tests must not change it."""
    folder = study.with_name("tree")
    done = run_process("data", "simulate", folder, "--study", study, "--anatomy")
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def tree(sound_tree: Path, tmp_path: Path) -> Path:
    """A copy to write to and to break."""
    return shutil.copytree(sound_tree, tmp_path / "tree")


@pytest.fixture
def values(tmp_path: Path) -> Path:
    """A row of numbers for each listener, and what is no row."""
    rng = np.random.default_rng(0)
    rows = {f"a/SIM0{i + 1}/x": rng.uniform(0, 2, n) for i, n in enumerate(N_VOXELS)}
    np.savez(tmp_path / "values.npz", **rows, names=np.array(["no", "numbers"]))
    return tmp_path / "values.npz"


@pytest.fixture
def without_pycortex(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without it."""
    for room in ("_flatmaps", "_flatmap_stage"):
        monkeypatch.setattr(f"brainaligner.study.{room}.pycortex_version", lambda: None)


def digests(folder: Path) -> dict[str, str]:
    """What each file of a folder holds."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def description(path: Path) -> str:
    """Text alternative of a PNG."""
    with Image.open(path) as image:
        return str(image.text["Description"])


# -------------------------------------------------------------------- from end to end


def test_anatomy_adds_files_and_changes_none(
    cli: Cli, study: Path, sound_tree: Path, tmp_path: Path
) -> None:
    assert run_process("data", "simulate", tmp_path / "bare", "--study", study).code == 0
    bare, full = digests(tmp_path / "bare"), digests(sound_tree)
    assert bare.items() <= full.items()
    added = {Path(name).name for name in full.keys() - bare.keys()}
    assert {"matrices.xfm", "flat_lh.gii", "flat_rh.npz", "lh.sphere.reg"} <= added
    assert {"lh.aparc.annot", "lh.cortex.label", "orig.mgz", "reference.nii.gz"} <= added
    assert cli("data", "check", sound_tree, "--reader", "lebel2023").code == 0


def test_a_simulated_tree_is_placed_parcelled_and_measured(
    cli: Cli, tree: Path, real_data: Path, tmp_path: Path
) -> None:
    planted = {
        subject: np.load(tree / DATABASE / subject / "fsaverage5_vertices.npy")
        for subject in ("SIM01", "SIM02")
    }
    done = cli("data", "place", tree)
    assert done.code == 0, done.err
    for subject, vertices in planted.items():
        found = open_dataset("lebel2023", tree).space(subject).vertices
        assert found is not None
        same_half = (found < 10_242) == (vertices < 10_242)
        assert ((found >= 0) & same_half).mean() > 0.95
    to = tmp_path / "parcels.npz"
    done = cli("data", "parcels", tree, "--atlas", real_data / "a424", "--to", to)
    assert done.code == 0, done.err
    with np.load(to) as arrays:
        assert arrays["SIM01/shape"].tolist() == [424, N_VOXELS[0]]
        filled = np.count_nonzero(np.diff(arrays["SIM01/indptr"]))
    assert filled > 200
    to = tmp_path / "ceiling.tsv"
    done = cli("data", "ceiling", tree, "--reader", "lebel2023", "--to", to)
    assert done.code == 0, done.err
    assert len(to.read_text().splitlines()) == 1 + sum(N_VOXELS)


@pytest.mark.usefixtures("without_pycortex")
@pytest.mark.drawn
def test_scores_of_a_run_become_flatmaps(
    cli: Cli, study: Path, sound_tree: Path, tmp_path: Path
) -> None:
    anatomy = ("--set", "dataset.simulation.anatomy=true")
    done = cli("run", study, "--out", tmp_path / "out", *anatomy)
    assert done.code == 0, done.err
    _assert_flat_page(cli, study, tmp_path / "out", anatomy)
    (inside,) = (tmp_path / "out" / "store").rglob("flat_lh.gii")
    same = sound_tree / DATABASE / "SIM01/surfaces/flat_lh.gii"
    assert inside.read_bytes() == same.read_bytes()
    run, maps = tmp_path / "out" / "tiny", tmp_path / "maps"
    only = ("--only", "*/test/cut0")
    done = cli("data", "flatmap", sound_tree, "--values", run, "--to", maps, *only)
    assert done.code == 0, done.err
    names = [f"first_SIM0{i}_test_cut0.png" for i in (1, 2)]
    assert sorted(path.name for path in maps.iterdir()) == names
    with np.load(run / "scores.npz") as scores:
        middle = np.median(scores["first/SIM01/test/cut0"])
    assert "Pearson r, colours from 0 to 0." in description(maps / names[0])
    assert f"median {middle:.4g}" in description(maps / names[0])
    with Image.open(maps / names[0]) as image:
        assert image.text["Title"] == "SIMULATED DATA: first/SIM01/test/cut0"
    assert "SIM01: flatmap of the subject's flat surfaces; not by pycortex" in done.out


@pytest.mark.usefixtures("without_pycortex")
def test_a_simulated_tree_stays_simulated_under_another_reader(
    cli: Cli, checkpoint: Path, sound_tree: Path, tmp_path: Path
) -> None:
    changes = {
        "dataset": {"reader": "lebel2023"},
        "arms": {"second": None},
        "split": {"counts": [8, 2, 3]},
    }
    study = merged(tiny_study(checkpoint, sound_tree), changes)
    path = save_study(tmp_path / "study.yaml", study)
    done = cli("run", path, "--out", tmp_path / "out")
    assert done.code in (0, 4), done.err
    run = tmp_path / "out" / "tiny"
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["simulated"] is True
    assert "SIMULATED" in (run / "report.html").read_text(encoding="utf-8")
    assert "SIMULATED listeners" in (run / "methods.md").read_text(encoding="utf-8")


def _assert_flat_page(cli: Cli, study: Path, out: Path, anatomy: tuple[str, str]) -> None:
    """The page shows flatmaps, also when it is made again without the data."""
    run, made = out / "tiny", sorted((out / "store" / "flatmap").glob("*/pixels.npz"))
    assert len(made) == 2
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Drawn on the subject&#39;s own cortex" in page
    assert page.count(">left hemisphere<") == 2  # of two listeners; one arm has no difference
    assert "fsaverage5 surface" not in page
    times = [path.stat().st_mtime_ns for path in made]
    assert cli("run", study, "--out", out, *anatomy).code == 0
    assert [path.stat().st_mtime_ns for path in made] == times
    assert (run / "report.html").read_text(encoding="utf-8") == page
    assert cli("page", run, "--language", "ja", "--to", out / "ja.html").code == 0
    assert (out / "ja.html").read_text(encoding="utf-8").count(">左半球<") == 2


@pytest.mark.usefixtures("without_pycortex")
def test_surfaces_that_cannot_be_laid_out_cost_a_map_and_no_run(
    cli: Cli, study: Path, tree: Path, tmp_path: Path
) -> None:
    flat = tree / DATABASE / "SIM01/surfaces/flat_lh.gii"
    flat.write_bytes(flat.read_bytes()[:200])
    real = ("--set", "dataset.reader=lebel2023", "--set", "dataset.simulation=null")
    done = cli("run", study, "--out", tmp_path / "out", *real, "--data", tree)
    assert done.code == 0, done.err
    log = (tmp_path / "out/tiny/log.txt").read_text(encoding="utf-8")
    assert "SIM01: no flatmap by flat: " in log
    assert "flat_lh.gii" in log
    page = (tmp_path / "out/tiny/report.html").read_text(encoding="utf-8")
    assert "SIM02: Drawn on the subject&#39;s own cortex" in page
    assert "SIM01: Drawn on the inflated fsaverage5" in page


def test_unreadable_surfaces_stop_no_plan(
    cli: Cli, study: Path, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> str:
        raise InputError(str(path), got="no permission", wanted="a file", do="Allow it.")

    monkeypatch.setattr("brainaligner.study._flatmap_stage.file_digest", refused)
    real = ("--set", "dataset.reader=lebel2023", "--set", "dataset.simulation=null")
    done = cli("run", study, "--out", tmp_path / "out", *real, "--data", tree, "--plan")
    assert done.code == 0, done.err


# -------------------------------------------------------------------------- its roads


@pytest.mark.usefixtures("without_pycortex")
def test_where_nothing_is_flat_fsaverage5_is_drawn_and_said(
    cli: Cli, tree: Path, values: Path, tmp_path: Path
) -> None:
    for path in tree.rglob("surfaces/flat_*"):
        path.unlink()
    options = ("--to", tmp_path / "maps", "--only", "a/*", "--label", "gain")
    done = cli("data", "flatmap", tree, "--values", values, *options)
    assert done.code == 0, done.err
    assert "SIM02: inflated fsaverage5, no flatmap; not by pycortex: " in done.out
    assert "not by flat: " in done.out
    assert "fsaverage5; what" in description(tmp_path / "maps/a_SIM01_x.png")
    assert "gain, colours" in description(tmp_path / "maps/a_SIM01_x.png")
    (tree / DATABASE / "SIM02/fsaverage5_vertices.npy").unlink()  # then it is placed now
    assert cli("data", "flatmap", tree, "--values", values, *options).code == 0
    shutil.rmtree(tree / "derivative/freesurfer_subjdir/SIM02")
    done = cli("data", "flatmap", tree, "--values", values, *options)
    assert done.code == 0
    assert "SIM02: NOT DRAWN: " in done.out
    assert "sphere.reg" in done.out
    done = cli("data", "flatmap", tree, "--values", values, *options, "--subjects", "SIM02")
    assert done.code == 2


def test_one_row_of_a_named_subject_as_svg(cli: Cli, sound_tree: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "row.npy", np.r_[np.full(N_VOXELS[0] - 1, 0.5), np.nan])
    options = ("--to", tmp_path, "--by", "flat", "--format", "svg", "--limits=-1,1")
    done = cli(
        *("data", "flatmap", sound_tree, "--values", tmp_path / "row.npy"),
        *("--subjects", "SIM01", *options),
    )
    assert done.code == 0, done.err
    text = (tmp_path / "row.svg").read_text(encoding="utf-8")
    assert "SIMULATED DATA: SIM01: row</title>" in text
    assert "value, colours from -1 to 1; 899 of 900 targets" in text


@pytest.mark.parametrize("subject", ["SIM01", "SIM02"])
def test_flat_pixels_show_the_voxel_under_the_vertex(sound_tree: Path, subject: str) -> None:
    """Values that are places: what a pixel shows lies where its vertex lies."""
    anatomy = read_anatomy(sound_tree, subject)
    pixels = own_pixels(sound_tree, subject, height=300)
    fiducial = np.concatenate([half.points for half in anatomy.fiducial])
    voxel = np.rint(np.c_[fiducial, np.ones(len(fiducial))] @ anatomy.columns.from_surface.T)[:, :3]
    at = {tuple(ijk): column for column, ijk in enumerate(anatomy.columns.index.tolist())}
    shown = {at[tuple(ijk)] for ijk in voxel.astype(int).tolist() if tuple(ijk) in at}
    seen = set(np.unique(pixels.weights.indices).tolist())
    assert seen <= shown
    assert len(seen) > 0.8 * len(shown)  # the rest lies on the medial wall
    side = pixels.picture(anatomy.columns.surface_mm[:, 0])
    assert np.nanmean(side[:, :300]) < -20 < 20 < np.nanmean(side[:, -300:])
    front = pixels.picture(anatomy.columns.surface_mm[:, 1])
    assert np.nanmean(front[:, :100]) > np.nanmean(front[:, 200:300]) + 50  # faces outwards


def own_pixels(tree: Path, subject: str, *, height: int):
    anatomy = read_anatomy(tree, subject)
    left, right = (
        FlatHemisphere(mesh.points[:, :2], mesh.faces, columns)
        for mesh, columns in zip(anatomy.read_flat(), anatomy.vertex_columns, strict=True)
    )
    return flat_pixels(left, right, n_targets=len(anatomy.columns), height=height)


# ------------------------------------------------------------------------- what is bad


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"--values": "none.npz"}, "none.npz"),
        ({"--values": "."}, "run.json"),
        ({"--only": "*"}, "no subject in its name"),
        ({"--only": "b/*"}, "nothing to draw among 3 arrays"),
        ({"--subjects": "SIM03"}, "SIM0"),
        ({"--limits": "0"}, "LOW,HIGH"),
        ({"--limits": "1,0"}, "ascending"),
        ({"--format": "jpg"}, "png"),
        ({"--by": "flt"}, "Did you mean 'flat'?"),
        ({"--by": "pycortex"}, "brainaligner[flatmap]"),
        ({"--to": "values.npz"}, "folder"),
    ],
)
@pytest.mark.usefixtures("without_pycortex")
def test_bad_input_is_refused_before_anything_is_drawn(
    cli: Cli,
    sound_tree: Path,
    values: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    word: str,
) -> None:
    monkeypatch.chdir(values.parent)
    options = {"--values": "values.npz", "--to": "maps", "--only": "a/*"} | changes
    done = cli("data", "flatmap", sound_tree, *(f"{name}={v}" for name, v in options.items()))
    assert done.code == 2
    assert len(done.lines) == 1
    assert word in done.err
    assert [path.name for path in values.parent.iterdir()] == ["values.npz"]


def _short(rows: dict[str, np.ndarray]) -> None:
    rows["a/SIM01/x"] = rows["a/SIM01/x"][:-1]


def _square(rows: dict[str, np.ndarray]) -> None:
    rows["a/SIM01/x"] = rows["a/SIM01/x"][None]


def _twins(rows: dict[str, np.ndarray]) -> None:
    rows["a/SIM01_x"] = rows["a_SIM01/x"] = rows.pop("a/SIM01/x")


@pytest.mark.parametrize(
    ("damage", "word"),
    [(_short, "899 values"), (_square, "(1, 900)"), (_twins, "another file for each map")],
)
def test_values_that_do_not_fit(
    cli: Cli,
    sound_tree: Path,
    values: Path,
    damage: Callable[[dict[str, np.ndarray]], None],
    word: str,
) -> None:
    with np.load(values) as arrays:
        rows = {name: arrays[name] for name in arrays.files if name.startswith("a/SIM01")}
    damage(rows)
    np.savez(values, **rows)
    to = values.parent / "maps"
    done = cli(
        *("data", "flatmap", sound_tree, "--values", values, "--to", to),
        *("--subjects", "SIM01", "--by", "flat"),
    )
    assert done.code == 2
    assert word in done.err
    assert not to.exists()


# ---------------------------------------------------------------------------- pycortex

# The public road of pycortex, in a process and a configuration of its own: a Volume built by
# pycortex's mask, and the picture that quickshow draws.
PUBLIC = """
import sys, numpy as np, cortex
cortex.db.filestore = sys.argv[1]
mask = cortex.db.get_mask("SIM", "SIM_auto", "thick")
values = np.load(sys.argv[2])
volume = np.full(mask.shape, np.nan)
volume[mask] = values
image, _ = cortex.quickflat.make_flatmap_image(cortex.Volume(volume, "SIM", "SIM_auto"), height=200)
np.save(sys.argv[3], image)
"""


@needs_pycortex
@pytest.mark.parametrize("subject", ["SIM01", "SIM02"])
def test_pixels_are_those_of_quickshow(
    sound_tree: Path, tmp_path: Path, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    values = np.random.default_rng(1).standard_normal(N_VOXELS[subject == "SIM02"])
    values[::7] = np.nan
    before = digests(sound_tree)
    anatomy = read_anatomy(sound_tree, subject)
    pixels = pycortex_pixels(
        pycortex_files(sound_tree, subject), anatomy.columns.volume_index, height=200
    )
    assert list(home.iterdir()) == []  # no configuration of the user's is made
    assert digests(sound_tree) == before
    store = tmp_path / "db"
    shutil.copytree(sound_tree / DATABASE / subject, store / "SIM")
    (store / f"SIM/transforms/{subject}_auto").rename(store / "SIM/transforms/SIM_auto")
    np.save(tmp_path / "values.npy", values)
    subprocess.run(
        [sys.executable, "-c", PUBLIC, store, tmp_path / "values.npy", tmp_path / "image.npy"],
        check=True,
        cwd=tmp_path,
    )
    np.testing.assert_allclose(pixels.picture(values), np.load(tmp_path / "image.npy"), atol=1e-9)


@needs_pycortex
def test_both_roads_show_the_same_cortex(sound_tree: Path) -> None:
    """Ours takes mid-grey alone and the nearest vertex; pycortex 32 depths and interpolates."""
    anatomy = read_anatomy(sound_tree, "SIM01")
    theirs = pycortex_pixels(
        pycortex_files(sound_tree, "SIM01"), anatomy.columns.volume_index, height=400
    )
    ours = own_pixels(sound_tree, "SIM01", height=400)
    a, b = (pixels.picture(anatomy.columns.surface_mm[:, 2]) for pixels in (ours, theirs))
    half = min(a.shape[1], b.shape[1]) // 2 - 10
    for side in (slice(None, half), slice(-half, None)):
        both = np.isfinite(a[:, side]) & np.isfinite(b[:, side])
        assert both.sum() > 1000
        assert np.corrcoef(a[:, side][both], b[:, side][both])[0, 1] > 0.98


@needs_pycortex
def test_pycortex_goes_first(sound_tree: Path) -> None:
    assert subject_canvas(sound_tree, "SIM01").how == f"flatmap by pycortex {pycortex_version()}"


@needs_pycortex
def test_a_page_is_drawn_by_pycortex(
    cli: Cli, study: Path, sound_tree: Path, tmp_path: Path
) -> None:
    real = ("--set", "dataset.reader=lebel2023", "--set", "dataset.simulation=null")
    done = cli("run", study, "--out", tmp_path / "out", *real, "--data", sound_tree)
    assert done.code == 0, done.err
    recipes = list((tmp_path / "out/store/flatmap").glob("*/recipe.json"))
    assert len(recipes) == 2
    assert all('"road": "pycortex"' in path.read_text(encoding="utf-8") for path in recipes)
    page = (tmp_path / "out/tiny/report.html").read_text(encoding="utf-8")
    assert page.count(">left hemisphere<") == 2


def test_where_pycortex_fails_the_next_road_is_taken_and_it_is_said(
    sound_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "child.py"
    script.write_text("raise ValueError('too many loops')", encoding="utf-8")
    monkeypatch.setattr("brainaligner.report._pycortex._CHILD", script)
    for room in ("report._pycortex", "study._flatmaps"):
        monkeypatch.setattr(f"brainaligner.{room}.pycortex_version", lambda: "1.9")
    how = subject_canvas(sound_tree, "SIM02").how
    assert how.startswith("flatmap of the subject's flat surfaces; not by pycortex: pycortex 1.9")
    assert "ValueError: too many loops" in how
    assert "--by flat" in how
    with pytest.raises(InputError, match="too many loops"):
        subject_canvas(sound_tree, "SIM02", by="pycortex")
