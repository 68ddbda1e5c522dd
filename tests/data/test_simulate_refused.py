"""Simulations that are refused before anything is written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated_trees import FEATURES, SETTINGS, SURFACE, TRANSCRIPTS, simulated

from brainaligner.core import InputError, Transcript
from brainaligner.data._simulate import simulate_tree


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_voxels": ()}, "one for each listener"),
        ({"n_voxels": (10,)}, "one for each listener"),
        ({"n_voxels": (10, 0)}, "n_voxels"),
        ({"signal": (1.0, -0.5)}, "no_signal: true"),
        ({"signal": (1.0, float("nan"))}, "finite number"),
        ({"silent_share": 1.0}, "silent_share"),
        ({"silent_share": -0.1}, "silent_share"),
        ({"n_repeats": 1}, "n_repeats"),
        ({"noise_ar": 1.0}, "noise_ar"),
        ({"noise_ar": float("nan")}, "noise_ar"),
        ({"smoothness_mm": 0.0}, "smoothness_mm"),
        ({"word_rate_share": 1.5}, "word_rate_share"),
        ({"n_directions": 0}, "n_directions"),
        ({"alike": 2.0}, "alike"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_out_of_range_are_refused(changes, said):
    with pytest.raises(InputError, match=said):
        replace(SETTINGS, **changes)


def without(mapping, key):
    return {name: value for name, value in mapping.items() if name != key}


def shifted(story, by):
    t = TRANSCRIPTS[story]
    return {**TRANSCRIPTS, story: Transcript(story, t.words, t.onsets + by, t.offsets + by)}


def overlapping(story):
    t = TRANSCRIPTS[story]
    return {**TRANSCRIPTS, story: Transcript(story, t.words, t.onsets, t.offsets + 0.5)}


NAN = np.full_like(FEATURES["orchard"], np.nan)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"features": without(FEATURES, "orchard")}, "unknown story 'orchard'"),
        ({"features": FEATURES | {"orchard": FEATURES["orchard"][1:]}}, "story_rows"),
        ({"features": FEATURES | {"orchard": FEATURES["orchard"][:, 0]}}, "shape"),
        ({"features": FEATURES | {"orchard": FEATURES["orchard"][:, 1:]}}, "5 and 6 columns"),
        ({"features": FEATURES | {"orchard": NAN}}, "NaN"),
        ({"features": FEATURES | {"orchard": np.ones_like(NAN)}}, "never change"),
        ({"features": FEATURES | {"orchard": np.ones(NAN.shape, int)}}, "floating-point"),
        ({"surface": SURFACE[:-1]}, "20484, 3"),
        ({"surface": SURFACE[:, :2]}, "20484, 3"),
        ({"surface": SURFACE * 3}, "inflated"),
        ({"surface": np.full_like(SURFACE, np.inf)}, "NaN or infinite"),
        ({"transcripts": shifted("balloon", -5.0)}, "before the sound"),
        ({"transcripts": overlapping("balloon")}, "overlap"),
        ({"transcripts": TRANSCRIPTS | {"../x": TRANSCRIPTS["orchard"]}}, "without slashes"),
        ({"settings": replace(SETTINGS, repeated_story="lampkeeper")}, "'lanternkeeper'"),
        ({"settings": replace(SETTINGS, n_voxels=(500, 60_000))}, "n_voxels of SIM02"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, arguments, said):
    given = {"transcripts": TRANSCRIPTS, "features": FEATURES, "surface": SURFACE}
    given |= {"settings": SETTINGS} | arguments
    with pytest.raises(InputError, match=said):
        simulate_tree(
            tmp_path / "tree",
            given["transcripts"],
            given["features"],
            given["surface"],
            settings=given["settings"],
        )
    assert not (tmp_path / "tree").exists()


def test_a_folder_with_files_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="a folder with files"):
        simulated(tmp_path)
    with pytest.raises(InputError, match="a file"):
        simulated(tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
