"""Cheats on choices: alpha, layer, targets and stories chosen by what is to be scored."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from gallery_bench import Bench, mean_r
from gallery_recordings import Recordings

from brainaligner.encoding import _lanes
from brainaligner.study import _features, _readout_fits, _scoring
from brainaligner.study._designs import PieceStories
from brainaligner.study._readout import ReadoutTask


def cheat_alpha_chosen_on_test(bench: Bench) -> Path:
    """The stories that choose alpha are the test stories."""
    honest = _readout_fits._sides

    def sides(task: ReadoutTask, *more: Any, **named: Any) -> Any:
        train, *rest = honest(task, *more, **named)
        return (train, task.stories(task.fold.test), *rest[1:])

    bench.patch.setattr(_readout_fits, "_sides", sides)
    return bench.run()


def _innermost(stories: Any) -> Any:
    """The stories that others only watch, or read in turn."""
    return _innermost(stories.designs) if hasattr(stories, "designs") else stories


def cheat_alpha_chosen_on_test_within_the_ridge(bench: Bench) -> Path:
    """The ridge is given validation stories, and scores its alphas on the test stories."""
    tasks: list[ReadoutTask] = []
    honest_stories, honest_scorer = ReadoutTask.stories, _lanes.validation_scorer

    def stories(self: ReadoutTask, pieces: Any) -> Any:
        tasks.append(self)
        return honest_stories(self, pieces)

    def scorer(basis: Any, validation: Any, *more: Any, **named: Any) -> Any:
        if not isinstance(_innermost(validation), PieceStories):
            return honest_scorer(basis, validation, *more, **named)  # a small fit of a diagnostic
        task = tasks[-1]
        return honest_scorer(basis, honest_stories(task, task.fold.test), *more, **named)

    bench.patch.setattr(ReadoutTask, "stories", stories)
    bench.patch.setattr(_lanes, "validation_scorer", scorer)
    return bench.run()


def _tried(bench: Bench, name: str, changes: dict[str, Any]) -> Path:
    """Run the study somewhere else, to look at its test scores."""
    return Bench(bench.world, bench.folder / f"tried-{name}", bench.patch).run(changes)


def cheat_layer_chosen_on_test(bench: Bench) -> Path:
    """The features of the layer with the best test scores are called those of the worst."""
    layers = {n: {"features": {"words": {"text": {"layer": n}}}} for n in (0, 2)}
    found = {n: mean_r(_tried(bench, str(n), changes)) for n, changes in layers.items()}
    worst, best = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
    honest = _features.row_states

    def states(model: Any, texts: Any, layers: Any, **named: Any) -> Any:
        return {worst: honest(model, texts, [best], **named)[best]}

    bench.patch.setattr(_features, "row_states", states)
    return bench.run(layers[worst], share=False)


def cheat_delays_tried_out_on_test(bench: Bench) -> Path:
    """Delays are tried until the test scores are best; the best ones are reported."""
    tried = [{"defaults": {"design": {"delays": delays}}} for delays in ([1], [2, 3], [1, 2, 3, 4])]
    found = [mean_r(bench.run(changes)) for changes in tried]
    return bench.run(tried[int(np.argmax(found))] | {"title": "Our model"})


_DELAYS = ([1], [2], [2, 3], [1, 2, 3, 4])


def cheat_best_arm_reported_alone(bench: Bench) -> Path:
    """All arms of one study see the test stories; the best is reported as a study of its own."""
    arms = {f"arm{i}": {"design": {"delays": d}} for i, d in enumerate(_DELAYS)}
    tried = {name: {"features": ["words"]} | arm for name, arm in arms.items()}
    run = bench.run({"name": "tried", "arms": {"words": None} | tried})
    best = max(arms, key=lambda name: mean_r(run, arm=name))
    return bench.run({"arms": {"words": arms[best]}})


def cheat_test_stories_as_validation_stories(bench: Bench) -> Path:
    """Test stories are looked at as the validation stories of another division."""
    split = bench.world.split
    swapped = {"validation": split["test"], "test": split["validation"]}
    found = []
    for i, delays in enumerate(_DELAYS):
        arm = {"arms": {"words": {"design": {"delays": delays}}}}
        other = {"name": f"tried{i}", "scored_on": "validation", "split": swapped}
        found.append(mean_r(bench.run(arm | other), group="validation"))
    best = _DELAYS[int(np.argmax(found))]
    return bench.run({"arms": {"words": {"design": {"delays": best}}}})


def cheat_ledger_deleted(bench: Bench) -> Path:
    """Delays are tried on the test stories, and each time the ledger is thrown away."""
    for i, delays in enumerate(_DELAYS):
        bench.run({"name": f"tried{i}", "arms": {"words": {"design": {"delays": delays}}}})
        (bench.out / "store" / "openings.jsonl").unlink()
    return bench.run()


def cheat_targets_chosen_on_test(bench: Bench) -> Path:
    """Targets with a low test r are left out of the scores."""
    honest = _scoring.score_group

    def score(predictions: Any, responses: Any, presentations: Any, **named: Any) -> Any:
        scores, _ = honest(predictions, responses, presentations, **named)
        poor = scores.r < np.quantile(scores.r, 0.7)
        kept = {s: np.where(poor, np.float32(0), values) for s, values in predictions.items()}
        return honest(kept, responses, presentations, **named)

    bench.patch.setattr(_scoring, "score_group", score)
    return bench.run()


def cheat_dataset_of_targets_chosen_on_test(bench: Bench) -> Path:
    """A dataset is made of the targets that were predicted best in the test stories."""
    run, known = _tried(bench, "all", {}), bench.world.recordings
    kept = {}
    with np.load(run / "scores.npz") as scores:
        for subject in known.arrays:
            order = np.argsort(scores[f"words/{subject}/test/cut0"])
            kept[subject] = np.sort(order[-len(order) // 4 :])
    arrays = {
        subject: {story: values[:, kept[subject]] for story, values in own.items()}
        for subject, own in known.arrays.items()
    }
    repeats = {(who, s): values[..., kept[who]] for (who, s), values in known.repeats.items()}
    chosen: Recordings = dataclasses.replace(known, arrays=arrays, repeats=repeats)
    return bench.run(bench.save(chosen))


def cheat_worst_story_left_out(bench: Bench) -> Path:
    """The test story that is predicted worst is not scored."""
    honest = _scoring.score_group

    def score(predictions: Any, responses: Any, presentations: Any, **named: Any) -> Any:
        base = named.pop("base")
        stories = base.group.stories
        if len(stories) > 1:
            alone = {
                s: honest(
                    predictions,
                    responses,
                    presentations,
                    base=dataclasses.replace(
                        base, group=dataclasses.replace(base.group, stories=(s,))
                    ),
                    **named,
                )[1].mean
                for s in stories
            }
            kept = tuple(s for s in stories if s != min(alone, key=alone.__getitem__))
            base = dataclasses.replace(base, group=dataclasses.replace(base.group, stories=kept))
        return honest(predictions, responses, presentations, base=base, **named)

    bench.patch.setattr(_scoring, "score_group", score)
    return bench.run()
