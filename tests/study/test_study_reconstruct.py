"""``brainaligner data reconstruct``: masked reconstruction of a study's parcels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_trees import Cli, assert_refused, merged, save_study
from tuning_trees import (
    BRAINLM,
    N_PARCELS,
    N_TARGETS,
    PARCELS,
    SUBJECTS,
    recordings,
    save_listeners,
    save_recordings,
    tuned_study,
    tuning,
)

from brainaligner.brain import (
    BrainLMConfig,
    BrainMaterial,
    ReconstructionSettings,
    load_brainlm,
    random_brainlm,
    reconstruction_r2,
)

OWN = {"input_gain": 3.0, "target_tr": 0.5}
Written = Callable[..., Path]


@pytest.fixture
def written(checkpoint: Path, tmp_path: Path) -> Written:
    """Write a study whose tuning reads BrainLM, on two listeners in ``data``."""

    def save(**changes: Any) -> Path:
        data = tmp_path / "data"
        if not data.exists():
            save_listeners(data, SUBJECTS[:2])
        study = tuned_study(checkpoint, data, {"mine": tuning(checkpoint, "brainlm")})
        own = {"brains": {"brainlm": {"brainlm": {"hop": 16, **OWN}}}}
        return save_study(tmp_path / "study.yaml", merged(merged(study, own), changes))

    return save


def found(cli: Cli, study: Path, *options: str) -> dict[str, dict[str, Any]]:
    """What is printed, by subject."""
    done = cli("data", "reconstruct", study, "--out", study.parent / "out", "--json", *options)
    assert done.code == 0, done.err
    return {one["subject"]: one for one in json.loads(done.out)["reconstructions"]}


@dataclass(frozen=True)
class Pairs:
    """Means of each pair of targets; all other parcels are missing."""

    stories: Mapping[str, np.ndarray]
    coverage = (2,) * (N_TARGETS // 2) + (0,) * (N_PARCELS - N_TARGETS // 2)

    def parcels(self, story: str) -> np.ndarray:
        """One story, NaN in missing parcels."""
        values = self.stories[story]
        means = np.full((len(values), N_PARCELS), np.nan, dtype=np.float32)
        means[:, : N_TARGETS // 2] = values.reshape(len(values), -1, 2).mean(2)
        return means


class UnreadRecording:
    """Responses that nobody may read: parcels are all that is wanted."""

    n_targets, kind = N_TARGETS, "voxels"

    def rows(self, story: str) -> int:
        """TRs of a story."""
        return len(recordings(SUBJECTS[0])[story])

    def responses(self, story: str, targets: slice) -> np.ndarray:
        """Never asked for."""
        raise AssertionError(story)

    def repeats(self, story: str, targets: slice) -> np.ndarray:
        """Never asked for."""
        raise AssertionError(story)


def by_hand(folder: Path, data: Path, subject: str, stories: tuple[str, ...]) -> np.ndarray:
    """R2 of one cell, from the recordings themselves."""
    from safetensors.torch import save_file

    config = BrainLMConfig(**BRAINLM | {"image_size": (432, 208)})
    fields, state = random_brainlm(config, seed=0)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(fields))
    save_file(state, folder / "model.safetensors")
    material = BrainMaterial(
        subject=subject,
        recording=UnreadRecording(),
        fitted_on=stories,
        given=stories,
        repeated=(),
        designs=None,
        parcels=Pairs(recordings(subject)),
    )
    with np.load(data / PARCELS) as file:
        places = file["coordinates"]
    cell = ReconstructionSettings(gains=(3.0,), target_trs=(0.5,))
    done = reconstruction_r2(
        material,
        checkpoint=load_brainlm(folder, decoder=True),
        coordinates=places,
        tr=2.0,
        settings=cell,
    )
    return done.r2


@pytest.mark.usefixtures("unchecked")
def test_the_studys_own_cell_is_what_the_recordings_give(
    cli: Cli, written: Written, tmp_path: Path
) -> None:
    told = found(cli, written(), "--stories", "9")
    assert sorted(told) == list(SUBJECTS[:2])
    for subject, one in told.items():
        assert set(one["stories"]) < {"apple", "birch", "cedar"}  # one is the aligner's to stop by
        r2 = by_hand(tmp_path / subject, tmp_path / "data", subject, tuple(one["stories"]))
        assert one["own_r2"] == pytest.approx(float(r2[0, 0]), abs=1e-9)
        assert (one["parcels"], one["random_weights"]) == (N_TARGETS // 2, True)
        assert not one["simulated"]
        assert one["gains"] == [0.25, 0.5, 1.0, 2.0, 3.0, 4.0]
        assert one["target_trs"] == [0.5, 0.735, 1.0, None]
        assert one["best"]["r2"] == pytest.approx(np.max(one["r2"]))
        assert one["shuffled_r2"] != one["best"]["r2"]


def test_stories_that_the_aligner_does_not_learn_from_change_nothing(
    cli: Cli, written: Written, tmp_path: Path
) -> None:
    study = written()
    before = found(cli, study, "--stories", "1")
    for subject in SUBJECTS[:2]:
        used = before[subject]["stories"]
        assert len(used) == 1
        arrays = {
            s: y if s in ("apple", "birch", "cedar") else -2 * y
            for s, y in recordings(subject).items()
        }
        save_recordings(tmp_path / "data", subject, arrays)
    assert found(cli, study, "--stories", "1") == before


def test_it_is_said_in_lines_and_a_table(cli: Cli, written: Written, tmp_path: Path) -> None:
    done = cli("data", "reconstruct", written(), "--stories", "1", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "brainlm, UTS01, RANDOM WEIGHTS: 4 parcels with voxels; " in done.out
    assert "as the study has it (gain 3, 0.5 s): R2 " in done.out
    assert "there with parcels in another order" in done.out
    assert "gain 0.25" in done.out
    assert "a row" in done.out


REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "no BrainLM": (
        {"tunings": {"mine": {"brain": "all"}}, "brains": {"all": {"encoder": {"kind": "all"}}}},
        (),
        "no BrainLM that a tuning reads",
    ),
    "another brain": ({}, ("--brain", "brainml"), "brainlm"),
    "no story": ({}, ("--stories", "0"), "1 or more"),
    "no parcels": ({"brains": {"brainlm": {"parcels": None}}}, (), "parcels"),
    "parcels elsewhere": ({"brains": {"brainlm": {"parcels": "none.npz"}}}, (), "none.npz"),
    "standardised patches": (
        {"brains": {"brainlm": {"random": {"norm_pix_loss": True}}}},
        (),
        "norm_pix_loss",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_looked_at_is_refused(
    cli: Cli, written: Written, tmp_path: Path, kind: str
) -> None:
    changes, options, said = REFUSED[kind]
    done = cli("data", "reconstruct", written(**changes), "--out", tmp_path / "out", *options)
    assert_refused(done, said, tmp_path / "out")
