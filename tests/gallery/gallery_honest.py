"""Studies that do nothing wrong, some of them with what could look like it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from gallery_bench import Bench
from gallery_recordings import Truth, simulated_recordings
from gallery_tuning import tuned


def honest_plain(bench: Bench) -> Path:
    """One arm, two subjects."""
    return bench.run()


def honest_several_arms(bench: Bench) -> Path:
    """Two feature spaces, alone and together."""
    arms = {"context": {"features": ["context"]}, "both": {"features": ["words", "context"]}}
    return bench.run({"arms": arms})


def honest_nuisance_with_and_alone(bench: Bench) -> Path:
    """The nuisance block beside the words and alone."""
    arms = {
        kind: {"features": ["words"], "design": {"nuisance": kind}} for kind in ("with", "alone")
    }
    return bench.run({"arms": arms})


def honest_banded(bench: Bench) -> Path:
    """A penalty for each feature space."""
    arm = {
        "features": ["words", "context"],
        "banded": {"n_iter": 3, "alphas": [10.0, 100.0, 1000.0, 10000.0]},
    }
    return bench.run({"arms": {"words": None, "banded": arm}})


def honest_reduced_rank(bench: Bench) -> Path:
    """Projections over both subjects: of two stages, of one, and cross-fitted."""
    grid = {"rank": [3, 6, 12], "alpha": [100, 3000]}
    forms = {"two": {}, "one": {"form": "one-stage"}, "folds": {"cross_fit": 2}}
    arms = {n: {"features": ["words"], "reduced_rank": grid | more} for n, more in forms.items()}
    return bench.run({"arms": {"words": None} | arms})


def honest_half_precision(bench: Bench) -> Path:
    """States in bfloat16, which round otherwise in the company of other texts."""
    half = {"text": {"dtype": "bfloat16"}}
    return bench.run({"features": {"words": half, "context": half}})


def honest_leave_story_out(bench: Bench) -> Path:
    """Alpha chosen by leaving training stories out in turn."""
    return bench.run({"arms": {"words": {"ridge": {"selection": "leave_story_out"}}}})


def honest_alpha_for_each_target(bench: Bench) -> Path:
    """An alpha for each target, features scaled by training statistics, with an intercept."""
    ridge = {"alpha": "per_target", "intercept": True, "scaling": "training"}
    return bench.run({"arms": {"words": {"ridge": ridge, "design": {"scaling": "none"}}}})


def honest_within_one_story(bench: Bench) -> Path:
    """Parts of one story, with gaps."""
    known = bench.world.recordings
    story = bench.world.split["train"][4]
    arrays = {subject: {story: own[story]} for subject, own in known.arrays.items()}
    alone = dataclasses.replace(
        known, words={story: known.words[story]}, arrays=arrays, repeated={}, repeats={}
    )
    split = dict.fromkeys(bench.world.split) | {"folds": 4, "gap": 6}
    changes = bench.save(alone) | {"split": split, "evaluation": {"cuts": [0]}}
    return bench.run(changes, share=False)


def honest_missing_stories(bench: Bench) -> Path:
    """The second subject did not hear all stories, and one scan was stopped early."""
    known, split = bench.world.recordings, bench.world.split
    missing = {split["train"][1], split["validation"][0], split["test"][2]}
    first, second = known.arrays
    kept = {story: v for story, v in known.arrays[second].items() if story not in missing}
    kept[split["train"][0]] = kept[split["train"][0]][:-2]
    arrays = {first: known.arrays[first], second: kept}
    return bench.run(bench.save(dataclasses.replace(known, arrays=arrays)))


def honest_nan_replaced(bench: Bench) -> Path:
    """Some responses are not finite, in training and in test stories."""
    known, split = bench.world.recordings, bench.world.split
    arrays = {subject: dict(own) for subject, own in known.arrays.items()}
    for subject in arrays:
        for story in (split["train"][0], split["test"][0]):
            values = arrays[subject][story].copy()
            values[20:24, :3], values[50, 5] = np.nan, np.inf
            arrays[subject][story] = values
    return bench.run(bench.save(dataclasses.replace(known, arrays=arrays)))


def honest_constant_targets(bench: Bench) -> Path:
    """Two targets never change in one subject."""
    known = bench.world.recordings
    first, *others = known.arrays
    flat = {story: values.copy() for story, values in known.arrays[first].items()}
    for values in flat.values():
        values[:, 3:5] = 1.5
    arrays = {first: flat} | {subject: known.arrays[subject] for subject in others}
    return bench.run(bench.save(dataclasses.replace(known, arrays=arrays)))


def honest_tuned_beside_the_brain(bench: Bench) -> Path:
    """A model tuned on text beside the responses of training stories."""
    return bench.run(tuned(bench, "all"))


def honest_tuned_on_text(bench: Bench) -> Path:
    """A model tuned on the words of training stories."""
    return bench.run(tuned(bench, None))


def honest_selection_by_a_story_not_scored(bench: Bench) -> Path:
    """Targets are chosen by explainable variance of the repeated story, which is left out."""
    return bench.run(tuned(bench, "high-ev"))


def honest_repeated_stories_apart(bench: Bench) -> Path:
    """A second repeated story, each scored alone."""
    known, split = bench.world.recordings, bench.world.split
    *single, repeated = split["test"]
    several = dataclasses.replace(known, repeated={**known.repeated, repeated: 2})
    sides = {"test": single, "test_repeated": [*split["test_repeated"], repeated]}
    return bench.run(bench.save(several) | {"split": sides})


def _simulated(bench: Bench, truth: Truth) -> Path:
    checkpoint = Path(bench.world.study["features"]["words"]["model"])
    return bench.run(bench.save(simulated_recordings(checkpoint, truth)), share=False)


def honest_strongly_autocorrelated(bench: Bench) -> Path:
    """Noise that hardly changes from one row to the next."""
    return _simulated(bench, Truth(ar=0.95))


def honest_subjects_alike(bench: Bench) -> Path:
    """Two subjects with the same strong response to the words, and noise of their own."""
    return _simulated(bench, Truth(signal=4.0, alike=1.0))


def honest_three_subjects_without_signal(bench: Bench) -> Path:
    """Noise alone in three subjects."""
    return _simulated(bench, Truth(signal=0.0, subjects=("P1", "P2", "P3")))


def honest_texts_with_one_opening(bench: Bench) -> Path:
    """Every story begins with the same forty words, as broadcasts do."""
    stories: Sequence[str] = [s for side in bench.world.split.values() for s in side]
    opening = [word for word, _, _ in bench.world.recordings.words[stories[0]][:40]]
    openings: Mapping[str, Sequence[str]] = dict.fromkeys(stories, opening)
    return _simulated(bench, Truth(openings=openings))


def honest_protocol_of_the_report(bench: Bench) -> Path:
    """No delay, raw features, alphas up to 1000."""
    grid = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
    arm = {"design": {"delays": [0], "scaling": "none"}, "ridge": {"alphas": grid}}
    return bench.run({"arms": {"words": arm}})


def honest_second_run_of_a_finished_study(bench: Bench) -> Path:
    """The same study again: everything is found."""
    bench.run()
    return bench.run({"title": "The same"})


def honest_two_configurations(bench: Bench) -> Path:
    """Two configurations on one division, as a study may open its test stories."""
    bench.run()
    return bench.run({"arms": {"words": {"design": {"delays": [1, 2]}}}})


def _published(bench: Bench) -> str:
    """Folder of the published recordings, where the `real` world has come from."""
    return str(bench.world.source)


def honest_published_components(bench: Bench) -> Path:
    """Three listeners, all 200 components and plain MiniLM, by the dataset's own reader."""
    dataset = {"reader": "lebel2023-pcs", "folder": _published(bench)}
    words = {"model": "embedded", "text": {"layer": 4}}
    return bench.run({"dataset": dataset, "features": {"words": words}}, share=False)


def honest_published_regions(bench: Bench) -> Path:
    """Six regions of three listeners in parts of the one story of its dataset."""
    dataset = {"reader": "alice2016", "folder": _published(bench)}
    split = dict.fromkeys(bench.world.split) | {"folds": 5, "gap": 10}
    subjects = {"subjects": ["s18", "s22", "s23"]}
    return bench.run({"dataset": dataset | subjects, "split": split}, share=False)
