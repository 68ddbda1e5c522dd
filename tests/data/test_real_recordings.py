"""The published recordings: three listeners with components, 28 with regions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import detrend
from scipy.stats import zscore as scipy_zscore

from brainaligner.core import Clock, InputError
from brainaligner.data import Dataset, open_dataset
from brainaligner.data._shape_checks import LONGEST_TAIL_S


@pytest.fixture(scope="module")
def components(real_data: Path) -> Dataset:
    return open_dataset("lebel2023-pcs", real_data)


@pytest.fixture(scope="module")
def alice(real_data: Path) -> Dataset:
    return open_dataset("alice2016", real_data)


def test_components_are_those_that_were_published(components: Dataset, real_data: Path) -> None:
    volumes = json.loads((real_data / "lebel2023-pcs" / "respdict.json").read_text())
    assert components.subjects == ("UTS01", "UTS02", "UTS03")
    assert components.clock == Clock(2.0, 11.0)
    for subject in components.subjects:
        stories = components.stories(subject)
        assert len(stories) == 82
        assert all(components.n_rows(subject, s) == volumes[s] - 20 for s in stories)
        space = components.space(subject)
        assert (space.kind, space.size, space.has_map) == ("components", 200, False)
    with np.load(real_data / "lebel2023-pcs" / "UTS02.npz") as file:
        given = components.responses("UTS02", "buck", slice(50, 60))
        np.testing.assert_array_equal(given.values, file["buck"][:, 50:60])
    repeated = [s for s in components.stories("UTS01") if components.presentations(s) > 1]
    assert repeated == ["fromboyhoodtofatherhood", "wheretheressmoke"]


def test_all_transcripts_are_clean_and_end_well_within_the_margin(components: Dataset) -> None:
    tails = []
    for story in components.stories("UTS03"):
        transcript = components.transcript(story)
        assert len(transcript) > 500
        assert not set("{}[]()") & set("".join(transcript.words))
        assert "".join(transcript.words).islower()
        rows = components.n_rows("UTS03", story)
        tails.append(transcript.onsets[-1] - components.clock.centres(rows)[-1] - 1.0)
    assert 10 < max(tails) < 0.6 * LONGEST_TAIL_S


def test_nothing_is_wrong_with_the_components(components: Dataset) -> None:
    (note,) = components.problems()
    assert note.severity == "note"
    assert "myfirstdaywiththeyankees, onlyonewaytofindout" in note.got


def test_digests_differ_between_people_and_stories(components: Dataset) -> None:
    digests = {
        components.responses_digest(subject, story)
        for subject in components.subjects
        for story in ("buck", "life", "souls")
    }
    assert len(digests) == 9


def test_another_number_of_components_is_noticed(real_data: Path, tmp_path: Path) -> None:
    shutil.copy(real_data / "lebel2023-pcs" / "words.csv.gz", tmp_path)
    with np.load(real_data / "lebel2023-pcs" / "UTS01.npz") as file:
        np.savez(tmp_path / "UTS01.npz", buck=file["buck"][:, :100])
    (warning,) = (
        problem
        for problem in open_dataset("lebel2023-pcs", tmp_path).problems()
        if problem.severity == "warning"
    )
    assert warning.got == "100 components"


def test_alice_has_28_listeners_less_the_empty_one(alice: Dataset) -> None:
    assert len(alice.subjects) == 27
    assert "s33" not in alice.subjects
    assert alice.clock == Clock(2.0, 21.0)
    assert alice.stories("s18") == ("alice_ch1",)
    assert alice.n_rows("s18", "alice_ch1") == 362
    assert alice.space("s18").labels == ("LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")
    assert alice.transcript("alice_ch1").words[:4] == ("alice", "was", "beginning", "to")
    assert alice.transcript("alice_ch1").onsets[0] == pytest.approx(20.0589, abs=1e-4)
    (problem,) = alice.problems()
    assert problem.severity == "warning"
    assert "s33" in problem.where
    with pytest.raises(InputError, match="all zero"):
        alice.responses("s33", "alice_ch1")


def test_alice_is_detrended_and_standardised(alice: Dataset, real_data: Path) -> None:
    with np.load(real_data / "alice2016" / "roi_timecourses.npz") as file:
        raw = file["6mm/s22"].astype(float)
    wanted = scipy_zscore(detrend(raw, axis=0), axis=0)
    given = alice.responses("s22", "alice_ch1", slice(1, 4)).values
    np.testing.assert_allclose(given, wanted[:, 1:4], atol=1e-5)


def test_alice_listeners_agree_a_little_more_than_without_detrending(alice: Dataset) -> None:
    """Leave-one-listener-out r; the dataset's notes give it for raw, undetrended courses."""
    courses = np.stack([alice.responses(s, "alice_ch1").values for s in alice.subjects])
    total = courses.sum(axis=0)
    r = [[np.corrcoef(own[:, i], (total - own)[:, i])[0, 1] for i in range(6)] for own in courses]
    undetrended = np.array([0.306, 0.197, 0.384, 0.276, 0.222, 0.139])
    gain = np.mean(r, axis=0) - undetrended
    assert (gain > 0).all()
    assert (gain < 0.03).all()


def test_alice_without_responses(real_data: Path, tmp_path: Path) -> None:
    shutil.copy(real_data / "alice2016" / "roi_timecourses.npz", tmp_path)
    with pytest.raises(InputError, match=r"no alice_ch1\.TextGrid"):
        open_dataset("alice2016", tmp_path)
    np.savez(tmp_path / "roi_timecourses.npz", **{"6mm/s01": np.zeros((362, 6), np.float32)})
    shutil.copy(real_data / "alice2016" / "alice_ch1.TextGrid", tmp_path)
    with pytest.raises(InputError, match="no array named 6mm/"):
        open_dataset("alice2016", tmp_path)


def test_a_bad_value_in_alice_spoils_no_other(real_data: Path, tmp_path: Path) -> None:
    with np.load(real_data / "alice2016" / "roi_timecourses.npz") as file:
        raw = file["6mm/s22"]
    broken = raw.copy()
    broken[5, 0], broken[7, 2], broken[:, 4] = np.nan, np.inf, 3.25
    np.savez(tmp_path / "roi_timecourses.npz", **{"6mm/a": raw, "6mm/b": broken})
    shutil.copy(real_data / "alice2016" / "alice_ch1.TextGrid", tmp_path)
    dataset = open_dataset("alice2016", tmp_path)
    sound, given = (dataset.responses(subject, "alice_ch1") for subject in ("a", "b"))
    assert given.replaced == 2
    assert given.values[5, 0] == given.values[7, 2] == 0.0
    assert not given.values[:, 4].any()
    np.testing.assert_array_equal(given.values[:, [1, 3, 5]], sound.values[:, [1, 3, 5]])
    np.testing.assert_allclose(given.values[10:, [0, 2]], sound.values[10:, [0, 2]], atol=0.05)
    assert any("columns 4;" in problem.got for problem in dataset.problems())
