"""What half precision leaves behind: weights, and no change of how the model computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_aligners import FAST, tell
from tuned_aligners import Aligners

from brainaligner.aligner import HEAD_SETTINGS, BrainAligner, learn_head, masked_bits, tune

STORIES = tell(("ash", "elm", "fir"), n_rows=40), tell(("yew",), n_rows=60, seed=3)


def test_a_tuned_aligner_computes_as_the_one_on_the_disk(tiny: Aligners, tmp_path: Path) -> None:
    settings = replace(FAST, precision="bfloat16", epochs=1)
    done = tune(tiny("bert"), *STORIES, settings=settings, folder=tmp_path / "run")
    done.aligner.save_pretrained(tmp_path / "saved")
    again = BrainAligner.from_pretrained(tmp_path / "saved")
    bits = [
        masked_bits(one, STORIES[1], brain="true", settings=settings, seed=0).bits
        for one in (done.aligner, again)
    ]
    assert bits[0] == bits[1]


def test_a_finished_run_gives_the_same_aligner_again(tiny: Aligners, tmp_path: Path) -> None:
    settings = replace(FAST, precision="bfloat16", epochs=1)
    runs = [
        tune(tiny("bert"), *STORIES, settings=settings, folder=tmp_path / "run") for _ in range(2)
    ]
    bits = [
        masked_bits(run.aligner, STORIES[1], brain="none", settings=settings, seed=0).bits
        for run in runs
    ]
    assert bits[0] == bits[1]


def test_a_head_learned_in_half_precision_is_tuned_in_the_precision_that_is_asked_for(
    tiny: Aligners, tmp_path: Path
) -> None:
    settings = replace(HEAD_SETTINGS, epochs=1, precision="bfloat16", batch=8)
    head = learn_head(tiny("headless"), *STORIES, settings=settings, folder=tmp_path / "head")
    head.aligner.save_pretrained(tmp_path / "saved")
    again = BrainAligner.from_pretrained(tmp_path / "saved")
    tuned = [
        tune(one, *STORIES, settings=replace(FAST, epochs=1), folder=tmp_path / name)
        for one, name in ((head.aligner, "memory"), (again, "disk"))
    ]
    assert tuned[0].bits == pytest.approx(tuned[1].bits, abs=1e-9)
