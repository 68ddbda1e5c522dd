"""A simulated tree, read with other programs and compared with what was planted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import h5py
import nibabel
import numpy as np
import parselmouth
import pytest
from parselmouth.praat import call
from scipy.stats import gamma
from simulated_trees import (
    FEATURES,
    SETTINGS,
    STORIES,
    SURFACE,
    TRANSCRIPTS,
    column_correlation,
    simulated,
)

from brainaligner.data._simulate import SimulationSettings, simulate_tree, story_rows


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("simulated") / "tree")


@pytest.fixture(scope="module")
def null_tree(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("null") / "tree", replace(SETTINGS, no_signal=True))


def dataset(tree, story, name="data", subject="SIM01"):
    with h5py.File(tree / f"derivative/preprocessed_data/{subject}/{story}.hf5") as file:
        return file[name][...] if name in file else None


def truth(tree, subject="SIM01"):
    with np.load(tree / f"truth/{subject}.npz", allow_pickle=False) as file:
        return dict(file)


def single_presentation_reliability(repeats):
    """Split halves of 5 repeats, stepped down by Spearman and Brown to one repeat."""
    r = column_correlation(repeats[::2].mean(0), repeats[1::2].mean(0))
    return r / (5 - 4 * r)


# ------------------------------------------------------------------------------ layout


def test_files_are_those_of_the_real_layout(tree):
    derivative = tree / "derivative"
    assert json.loads((derivative / "subject_xfms.json").read_text()) == {
        "SIM01": "SIM01_auto",
        "SIM02": "SIM02_auto",
    }
    scans = json.loads((derivative / "respdict.json").read_text())
    assert scans == {story: story_rows(t) + 20 for story, t in TRANSCRIPTS.items()}
    assert {path.stem for path in (derivative / "TextGrids").iterdir()} == set(STORIES)
    assert "SIMULATED" in (tree / "SIMULATED.txt").read_text()
    written = json.loads((tree / "truth/settings.json").read_text())
    written |= {name: tuple(written[name]) for name in ("n_voxels", "signal")}
    assert SimulationSettings(**written) == SETTINGS


@pytest.mark.parametrize(("subject", "size"), [("SIM01", 500), ("SIM02", 300)])
def test_responses_have_rows_and_columns_and_are_standardised(tree, subject, size):
    for story, transcript in TRANSCRIPTS.items():
        data = dataset(tree, story, subject=subject)
        repeats = dataset(tree, story, "individual_repeats", subject)
        assert data.dtype == np.float64
        assert data.shape == (story_rows(transcript), size)
        np.testing.assert_allclose(data.mean(0), 0, atol=1e-12)
        if story == SETTINGS.repeated_story:
            assert repeats.shape == (10, *data.shape)
            np.testing.assert_allclose(repeats.std(1), 1, atol=1e-9)
            np.testing.assert_array_equal(repeats.mean(0), data)
            assert (data.std(0) < 1).all()
        else:
            assert repeats is None
            np.testing.assert_allclose(data.std(0), 1, atol=1e-9)


def test_all_three_serialisations_and_utf16_occur_and_praat_reads_them(tree):
    heads, marks = [], []
    for story, transcript in TRANSCRIPTS.items():
        path = tree / f"derivative/TextGrids/{story}.TextGrid"
        raw = path.read_bytes()
        marks.append(raw[:2] in (b"\xff\xfe", b"\xfe\xff"))
        text = raw.decode("utf-16" if marks[-1] else "utf-8")
        chronological = text.startswith('"Praat chronological TextGrid text file"')
        heads.append("chronological" if chronological else "xmin =" in text)
        grid = parselmouth.read(str(path))
        n = call(grid, "Get number of intervals", 2)
        labels = [call(grid, "Get label of interval", 2, i) for i in range(1, n + 1)]
        words = [x.lower() for x in labels if x.isupper() and not x.startswith("{")]
        assert words == list(transcript.words)
    assert set(heads) == {"chronological", True, False}
    assert set(marks) == {True, False}


def test_columns_run_over_z_then_y_then_x(tree):
    subject = tree / "derivative/pycortex-db/SIM01"
    image = nibabel.load(subject / "transforms/SIM01_auto/mask_thick.nii.gz")
    mask = np.asarray(image.dataobj)
    vertices = np.load(subject / "fsaverage5_vertices.npy", allow_pickle=False)
    assert mask.shape == (84, 84, 54)
    assert vertices.dtype == np.int32
    assert len(set(vertices.tolist())) == 500
    expected = [
        (x, y, z)
        for z in range(54)
        for y in range(84)
        for x in np.flatnonzero(mask[:, y, z]).tolist()
    ]
    at = nibabel.affines.apply_affine(np.linalg.inv(image.affine), SURFACE[vertices])
    assert [tuple(row) for row in np.rint(at).astype(int).tolist()] == expected
    np.testing.assert_array_equal(np.argwhere(mask.T > 0)[:, ::-1], expected)


# ------------------------------------------------------------------------------- truth


def test_about_a_third_of_the_cortex_is_silent_and_in_one_ball(tree):
    planted = truth(tree)
    silent = planted["silent"]
    assert 0.25 < silent.mean() < 0.45
    for name in ("snr", "signal_power", "ceiling", "repeated_signal_power", "word_rate_weights"):
        assert (planted[name][silent] == 0).all()
        assert (planted[name][~silent] > 0).all()
    assert (planted["weights"][:, silent] == 0).all()
    vertices = np.load(tree / "derivative/pycortex-db/SIM01/fsaverage5_vertices.npy")
    places = SURFACE[vertices]
    from_middle = np.linalg.norm(places - places[silent].mean(0), axis=1)
    hemisphere = vertices < 10242
    side = hemisphere == np.median(hemisphere[silent])
    assert np.median(from_middle[silent]) < np.median(from_middle[~silent & side])


def test_truth_is_consistent_with_itself(tree):
    for subject, highest in (("SIM01", 1.2), ("SIM02", 0.9)):
        planted = truth(tree, subject)
        assert 0.7 * highest < planted["snr"].max() <= highest
        np.testing.assert_allclose(
            planted["signal_power"], planted["snr"] / (1 + planted["snr"]), rtol=1e-12
        )
        np.testing.assert_allclose(planted["ceiling"] ** 2, planted["signal_power"], rtol=1e-12)


def plain_signal(story, planted):
    """The planted signal by its definition, one row after the other."""
    x = FEATURES[story].astype(float)
    rows = range(len(x))
    onsets = TRANSCRIPTS[story].onsets
    rate = np.array([sum(10 + 2 * i <= t < 12 + 2 * i for t in onsets) for i in rows], float)
    x, rate = (x - x.mean(0)) / x.std(0), (rate - rate.mean()) / rate.std()
    drive = x @ planted["weights"] + np.outer(rate, planted["word_rate_weights"])
    times = np.arange(0, 32, 2)
    h = gamma.pdf(times, 6) - gamma.pdf(times, 16) / 6
    h /= h.sum()
    signal = np.zeros_like(drive)
    for t in rows:
        for lag in range(min(t + 1, len(h))):
            signal[t] += h[lag] * drive[t - lag]
    return signal - signal.mean(0)


def test_planted_weights_give_the_planted_ratio_and_the_planted_ceiling(tree):
    planted = truth(tree)
    signals = {story: plain_signal(story, planted) for story in STORIES}
    pooled = np.concatenate(list(signals.values()))
    np.testing.assert_allclose(pooled.var(0), planted["snr"], rtol=1e-4, atol=1e-12)
    heard = ~planted["silent"]
    single = [story for story in STORIES if story != SETTINGS.repeated_story]
    measured = np.mean(
        [column_correlation(signals[s][:, heard], dataset(tree, s)[:, heard]) for s in single],
        axis=0,
    )
    assert abs((measured - planted["ceiling"][heard]).mean()) < 0.03
    assert np.corrcoef(measured, planted["ceiling"][heard])[0, 1] > 0.85


def test_word_rate_carries_its_share(tree, tmp_path):
    alone = truth(simulated(tmp_path / "all", replace(SETTINGS, word_rate_share=1.0)))
    none = truth(simulated(tmp_path / "none", replace(SETTINGS, word_rate_share=0.0)))
    assert np.abs(alone["weights"]).max() == 0
    assert none["word_rate_weights"].max() == 0
    heard = ~alone["silent"]
    ratio = truth(tree)["word_rate_weights"][heard] / alone["word_rate_weights"][heard]
    assert abs(np.median(ratio**2) - 0.2) < 0.05


@pytest.mark.parametrize("subject", ["SIM01", "SIM02"])
def test_repeats_tell_the_planted_signal_power(tree, subject):
    planted = truth(tree, subject)
    found = single_presentation_reliability(
        dataset(tree, SETTINGS.repeated_story, "individual_repeats", subject)
    )
    assert np.corrcoef(found, planted["repeated_signal_power"])[0, 1] > 0.9
    assert abs(found.mean() - planted["repeated_signal_power"].mean()) < 0.03
    assert abs(found[planted["silent"]].mean()) < 0.03


def test_null_simulation_has_no_signal(null_tree):
    planted = truth(null_tree)
    assert planted["silent"].all()
    assert not planted["snr"].any()
    assert not planted["weights"].any()
    repeats = dataset(null_tree, SETTINGS.repeated_story, "individual_repeats")
    assert abs(single_presentation_reliability(repeats).mean()) < 0.02
    signal = plain_signal("avalanche", truth(null_tree))
    assert not signal.any()


@pytest.mark.parametrize(("alike", "low", "high"), [(1.0, 0.6, 1.0), (0.0, -0.15, 0.15)])
def test_responses_are_alike_in_listeners_as_asked(tmp_path, alike, low, high):
    settings = replace(SETTINGS, alike=alike, word_rate_share=0.0, smoothness_mm=60.0)
    tree = simulated(tmp_path / "tree", settings)
    places, maps = [], []
    for subject in ("SIM01", "SIM02"):
        heard = ~truth(tree, subject)["silent"]
        vertices = np.load(tree / f"derivative/pycortex-db/{subject}/fsaverage5_vertices.npy")
        places.append(SURFACE[vertices[heard]])
        maps.append(truth(tree, subject)["weights"][:, heard])
    gaps = np.linalg.norm(places[0][:, None] - places[1][None], axis=2)
    nearest = gaps.argmin(1)
    r = column_correlation(maps[0], maps[1][:, nearest])[gaps.min(1) < 15]
    assert len(r) > 50
    assert low < r.mean() <= high


# ------------------------------------------------------------------------------- noise


def test_written_noise_keeps_its_autocorrelation(null_tree):
    data = dataset(null_tree, "avalanche")
    lag_one = column_correlation(data[1:], data[:-1]).mean()
    assert lag_one + (1 + 3 * 0.5) / len(data) == pytest.approx(0.5, abs=0.05)


def test_neighbours_share_noise_and_far_voxels_do_not(null_tree):
    vertices = np.load(null_tree / "derivative/pycortex-db/SIM01/fsaverage5_vertices.npy")
    places = SURFACE[vertices]
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2)
    rows = np.concatenate([dataset(null_tree, s) for s in STORIES if s != "lanternkeeper"])
    r = np.corrcoef(rows.T)
    width = 12.0 / np.sqrt(8 * np.log(2))
    for low, high in ((2.0, 6.0), (6.0, 10.0), (10.0, 14.0)):
        pairs = (gaps > low) & (gaps <= high)
        expected = np.exp(-(gaps[pairs] ** 2) / (4 * width**2)).mean()
        assert r[pairs].mean() == pytest.approx(expected, abs=0.06)
    assert abs(r[gaps > 40].mean()) < 0.02


def test_presentations_have_noise_of_their_own(null_tree):
    repeats = dataset(null_tree, "lanternkeeper", "individual_repeats")
    r = np.corrcoef(repeats.reshape(10, -1))
    assert np.abs(r[~np.eye(10, dtype=bool)]).max() < 0.15


# ----------------------------------------------------------------------- seeds, progress


def digests(tree):
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tree.rglob("*"))
        if path.is_file()
    }


def test_a_seed_gives_the_same_bytes_and_another_seed_gives_others(tree, tmp_path):
    again = digests(simulated(tmp_path / "again"))
    assert again == digests(tree)
    other = digests(simulated(tmp_path / "other", replace(SETTINGS, seed=4)))
    changed = {name for name in again if again[name] != other[name]}
    assert {name for name in again if name.endswith((".hf5", ".npz", ".nii.gz"))} <= changed


def test_progress_counts_every_file(tmp_path):
    calls = []
    simulate_tree(
        tmp_path / "tree",
        TRANSCRIPTS,
        FEATURES,
        SURFACE,
        settings=SETTINGS,
        progress=lambda *call: calls.append(call),
    )
    assert calls == [("simulating", done, 10) for done in range(1, 11)]
