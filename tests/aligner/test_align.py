"""Tuning on objectives: what is read, what is predicted, what trains, and what is refused."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_aligners import CAUSAL, FAMILIES, tell

from brainaligner.aligner import (
    Aligned,
    AnchorSettings,
    BrainAligner,
    ContrastiveSettings,
    LanguageSettings,
    LoraSettings,
    MaskedBrainSettings,
    ObjectiveSettings,
    PredictSettings,
    ResponseHeadSettings,
    StoryMaterial,
    TuningOptions,
    align,
    check_objectives,
)
from brainaligner.aligner._heads import start_heads
from brainaligner.aligner._layer_cache import _lower_states
from brainaligner.aligner._masking import FIXED
from brainaligner.aligner._objective_run import ObjectiveRun
from brainaligner.aligner._parts import layer_stack
from brainaligner.aligner._stretches import Side, scaled_rows
from brainaligner.core import BrainAlignerError, InputError, no_progress
from brainaligner.text import RowText, add_delays

Aligners = Callable[..., BrainAligner]
TRAIN, STOP = ("ash", "elm", "fir", "oak"), ("yew",)
TARGETS = {"S1": 6, "S2": 4}
TINY = ObjectiveSettings(
    predict=PredictSettings(),
    heads=ResponseHeadSettings(delays=(1, 2), rank=3, alpha=10.0, folds=2),
    read_layers=(2,),
    trained_layers=1,
    stretch=8,
    stretches=2,
    learning_rate=1e-2,
    evaluations=2,
    seed=5,
)


def material(stories: tuple[str, ...], *, seed: int = 0, n_rows: int = 30) -> StoryMaterial:
    """Made-up stories with left context, and responses that follow the number of words."""
    told = tell(stories, n_rows=n_rows, brain=False, seed=seed).texts
    texts = {
        story: [RowText(rows[i - 1].own if i else (), row.own) for i, row in enumerate(rows)]
        for story, rows in told.items()
    }
    rng = np.random.default_rng(seed + 1)
    responses: dict[str, dict[str, np.ndarray]] = {}
    for subject, n in TARGETS.items():
        responses[subject] = {}
        for story, rows in texts.items():
            drive = np.array([len(row.own) for row in rows], dtype=np.float64)
            values = np.roll(drive, 1)[:, None] + rng.standard_normal((n_rows, n))
            scaled = (values - values.mean(0)) / values.std(0)
            responses[subject][story] = scaled.astype(np.float32)
    z = {story: rng.standard_normal((n_rows, 2)) for story in stories}
    return StoryMaterial(texts, responses, z)


SIDES = material(TRAIN), material(STOP, seed=9)


def prepared(aligner: BrainAligner, folder: Path, settings: ObjectiveSettings) -> Any:
    """What a run makes before its first step: model and sides."""
    made: dict[str, Any] = {}
    run = ObjectiveRun(aligner, SIDES, settings, folder, TuningOptions(), no_progress)

    def keep(model: Any, sides: tuple[Side, Side]) -> Any:
        made.update(model=model, sides=sides)
        raise KeyboardInterrupt

    object.__setattr__(run, "_trainer", keep)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    return made["model"], made["sides"]


def tuned(aligner: BrainAligner, folder: Path, settings: ObjectiveSettings, **more: Any) -> Aligned:
    return align(aligner, *SIDES, settings=settings, folder=folder, **more)


def shared_run(aligner: BrainAligner, folder: Path, name: str, **more: Any) -> Aligned:
    """A run that shares states below its trained layers in ``folder/states``."""
    options = TuningOptions(states=folder / "states")
    return tuned(aligner, folder / name, replace(TINY, **more), options=options)


def same_weights(one: Aligned, other: Aligned) -> bool:
    found = weights(one.aligner), weights(other.aligner)
    return all(found[0][name].tobytes() == found[1][name].tobytes() for name in found[0])


def weights(aligner: BrainAligner) -> dict[str, np.ndarray]:
    return {name: w.numpy().copy() for name, w in aligner.tower.state_dict().items()}


@pytest.mark.parametrize("epoch", [0, 1, FIXED])
def test_every_row_lies_in_one_stretch(tiny: Aligners, tmp_path: Path, epoch: int) -> None:
    _, (side, _) = prepared(tiny(), tmp_path, TINY)
    batches = side.epoch_batches(epoch)
    assert len(batches) == side.n_batches
    rows = [
        (stretch.story, row)
        for batch in batches
        for stretch in batch
        for row in range(stretch.start, stretch.start + 8)
        if 0 <= row < 30
    ]
    assert sorted(rows) == [(story, row) for story in TRAIN for row in range(30)]


def test_batches_hold_the_responses_of_their_rows(tiny: Aligners, tmp_path: Path) -> None:
    settings = replace(TINY, nuisance="none")
    _, (side, _) = prepared(tiny(), tmp_path, settings)
    for stretches in side.epoch_batches(3):
        batch = side.batch(stretches, 3)
        for n, stretch in enumerate(stretches):
            for subject, one in zip(TARGETS, batch["subjects"], strict=True):
                for i in range(8):
                    row = stretch.start + i
                    assert bool(one["present"][n, i]) == (0 <= row < 30)
                    got = one["observed"][n, i].numpy()
                    rows = SIDES[0].responses[subject][stretch.story]
                    assert np.array_equal(got, rows[row] if 0 <= row < 30 else 0 * got)


@pytest.mark.parametrize("kind", ["trained", "cross_fitted"])
def test_before_the_first_step_the_model_is_the_linear_control(
    tiny: Aligners, tmp_path: Path, kind: Any
) -> None:
    """Stretches, delays inside the graph and heads against designs of whole stories."""
    settings = replace(TINY, heads=replace(TINY.heads, kind=kind))
    model, (side, _) = prepared(tiny(), tmp_path, settings)
    started = start_heads(side.original, side.responses, settings=settings)
    model.eval()
    for stretches in side.epoch_batches(0):
        batch = side.batch(stretches, 0)
        with torch.no_grad():
            found = model(batch)
        for n, stretch in enumerate(stretches):
            fold = side.folds[stretch.story]
            heads = (*started.parts, started.whole)[fold]
            if kind == "cross_fitted":
                assert stretch.story in started.folds[fold]
            design = add_delays(scaled_rows(side.original[stretch.story]), (1, 2))
            for k, subject in enumerate(TARGETS):
                wanted = heads.predict(subject, design)
                inside = [i for i in range(8) if 0 <= stretch.start + i < 30]
                rows = [stretch.start + i for i in inside]
                got = found[f"predicted/{k}"][n, inside].numpy()
                assert np.allclose(got, wanted[rows], atol=1e-5)


def test_cross_fitted_heads_do_not_know_the_story_that_they_predict(
    tiny: Aligners, tmp_path: Path
) -> None:
    settings = replace(TINY, heads=replace(TINY.heads, kind="cross_fitted"))
    _, (side, _) = prepared(tiny(), tmp_path, settings)
    before = start_heads(side.original, side.responses, settings=settings)
    moved: dict[str, dict[str, np.ndarray]] = {s: dict(y) for s, y in side.responses.items()}
    for stories in moved.values():
        stories["elm"] = np.flip(stories["elm"], axis=0).copy()
    after = start_heads(side.original, moved, settings=settings)
    for k, fold in enumerate(before.folds):
        same = np.array_equal(before.parts[k].bottleneck, after.parts[k].bottleneck)
        assert same == ("elm" in fold)
    assert not np.array_equal(before.whole.bottleneck, after.whole.bottleneck)


def test_heads_equal_a_regression_by_numpy(tiny: Aligners, tmp_path: Path) -> None:
    """Two-stage reduced rank by eigenvectors of W'X'XW, with one penalty of the second stage."""
    settings = replace(TINY, heads=replace(TINY.heads, alphas=(7.0,)))
    _, (side, _) = prepared(tiny(), tmp_path, settings)
    found = start_heads(side.original, side.responses, settings=settings).whole
    x = np.concatenate([add_delays(scaled_rows(side.original[s]), (1, 2)) for s in TRAIN]).astype(
        np.float64
    )
    y = {s: np.concatenate([v[t] for t in TRAIN]).astype(float) for s, v in side.responses.items()}
    both = np.concatenate(list(y.values()), axis=1)
    w = np.linalg.solve(x.T @ x + 10.0 * np.eye(x.shape[1]), x.T @ both)
    _, vectors = np.linalg.eigh(w.T @ x.T @ x @ w)
    g = x @ w @ vectors[:, ::-1][:, :3]
    g /= g.std(axis=0).mean()
    for subject, rows in y.items():
        u = np.linalg.solve(g.T @ g + 7.0 * np.eye(3), g.T @ rows)
        got = found.predict(subject, x.astype(np.float32))
        assert np.allclose(got, g @ u, atol=1e-4)


def test_nuisance_is_taken_out_with_the_weights_of_training_stories(
    tiny: Aligners, tmp_path: Path
) -> None:
    _, sides = prepared(tiny(), tmp_path, TINY)
    z, y = (
        np.concatenate([SIDES[0].nuisance[s] for s in TRAIN]),
        np.concatenate([SIDES[0].responses["S1"][s] for s in TRAIN]),
    )
    b = np.linalg.solve(z.T @ z, z.T @ y)
    for side, given in zip(sides, SIDES, strict=True):
        for story, rows in side.responses["S1"].items():
            wanted = given.responses["S1"][story] - given.nuisance[story] @ b
            assert np.allclose(rows, wanted, atol=1e-5)


def test_named_layers_train_and_all_else_stays_as_it_is(tiny: Aligners, tmp_path: Path) -> None:
    aligner = tiny()
    before = weights(aligner)
    done = tuned(aligner, tmp_path, TINY)
    after = weights(done.aligner)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed
    assert all(".layer.1." in name for name in changed)  # counted from 0: the second of three
    assert done.moved.keys() == {"layer 2"}
    assert done.moved["layer 2"] > 0
    assert {name: w.tobytes() for name, w in weights(aligner).items()} == {
        name: w.tobytes() for name, w in before.items()
    }


@pytest.mark.parametrize("family", ["bert", "gpt2", "qwen2"])
def test_cached_lower_layers_give_the_same_weights(
    tiny: Aligners, tmp_path: Path, family: str
) -> None:
    found = {
        cache: tuned(tiny(family), tmp_path / cache, replace(TINY, cache=cache))
        for cache in ("on", "off")
    }
    assert found["on"].cached
    assert not found["off"].cached
    one, two = (
        {name: _without_key_bias(name, w) for name, w in weights(done.aligner).items()}
        for done in found.values()
    )
    assert max(np.abs(one[name] - two[name]).max() for name in one) < 1e-6


def _states(folder: Path) -> list[Path]:
    """Files of the states below; what is pooled from them has a digest more in its name."""
    return [path for path in (folder / "states").iterdir() if path.name.count(".") == 1]


def test_states_of_a_story_are_made_once_for_all_runs(tiny: Aligners, tmp_path: Path) -> None:
    first = shared_run(tiny("bert"), tmp_path, "first")
    made = {path.name: path.stat().st_mtime_ns for path in _states(tmp_path)}
    assert len(made) == len(TRAIN) + len(STOP)
    again = shared_run(tiny("bert"), tmp_path, "again", seed=6, learning_rate=1e-4)
    assert {p.name: p.stat().st_mtime_ns for p in _states(tmp_path)} == made
    assert (first.cached, again.cached) == (True, True)
    assert not same_weights(first, again)
    assert same_weights(first, tuned(tiny("bert"), tmp_path / "own", TINY))


def test_a_file_of_states_that_was_cut_short_is_made_anew(tiny: Aligners, tmp_path: Path) -> None:
    first = shared_run(tiny("bert"), tmp_path, "first")
    victim = min(_states(tmp_path))
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    again = shared_run(tiny("bert"), tmp_path, "again")
    assert victim.read_bytes() == whole
    assert same_weights(first, again)


@pytest.mark.parametrize("part", ["embeddings.word_embeddings.weight", "layer.0.", "layer.1."])
def test_states_of_other_lower_weights_have_other_files(
    tiny: Aligners, tmp_path: Path, part: str
) -> None:
    shared_run(tiny("bert"), tmp_path, "first")
    before = set(_states(tmp_path))
    other = tiny("bert")
    with torch.no_grad():
        next(w for name, w in other.tower.named_parameters() if part in name).add_(0.01)
    shared_run(other, tmp_path, "again")
    is_new = set(_states(tmp_path)) != before
    assert is_new == (part != "layer.1.")  # counted from 0: the trained one of three


def test_states_are_made_again_where_another_run_empties_their_folder(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def emptied_once(*given: Any) -> Any:
        calls.append(given)
        yield from _lower_states(*given)
        if len(calls) == 2:
            shutil.rmtree(tmp_path / "states")

    monkeypatch.setattr("brainaligner.aligner._layer_cache._lower_states", emptied_once)
    found = shared_run(tiny("bert"), tmp_path, "first")
    assert len(calls) == len(TRAIN) + len(STOP) + 1
    monkeypatch.undo()
    assert same_weights(found, tuned(tiny("bert"), tmp_path / "own", TINY))


def _without_key_bias(name: str, values: np.ndarray) -> np.ndarray:
    """Leave out what softmax does not see: its gradient is rounding, which AdamW blows up."""
    if name.endswith("key.bias"):
        return np.zeros_like(values)
    if name.endswith("c_attn.bias"):
        return np.delete(values, slice(len(values) // 3, 2 * len(values) // 3))
    return values


@pytest.mark.parametrize("family", [*FAMILIES, *CAUSAL])
def test_all_objectives_together_pass_in_every_family(
    tiny: Aligners, tmp_path: Path, family: str
) -> None:
    settings = replace(
        TINY,
        contrastive=ContrastiveSettings(window=4, exclude=2),
        masked_brain=MaskedBrainSettings(),
        anchor=AnchorSettings(kind="kl", share=0.5),
        language=LanguageSettings(share=0.5),
        mask_rate=0.4,
    )
    done = tuned(tiny(family), tmp_path, settings)
    names = {"predict", "contrastive", "masked_brain", "anchor", "language"}
    assert names <= done.start.keys()
    assert names <= done.best.keys()
    assert done.start["anchor"] == pytest.approx(0.0, abs=1e-5)
    assert done.best["anchor"] > 1e-6
    lines = [line for line in done.history if "loss" in line and "eval_loss" not in line]
    total = lines[0]["predict"] + lines[0]["contrastive"] + lines[0]["masked_brain"]
    total += 0.1 * lines[0]["anchor"] + lines[0]["language"]
    assert lines[0]["loss"] == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_language_alone_needs_no_brain_and_lowers_its_loss(
    tiny: Aligners, tmp_path: Path, family: str
) -> None:
    settings = replace(TINY, predict=None, language=LanguageSettings(), epochs=4, mask_rate=0.4)
    texts = [StoryMaterial(side.texts) for side in SIDES]
    done = align(tiny(family), *texts, settings=settings, folder=tmp_path)
    assert done.best["language"] < done.start["language"] - 0.05
    assert "r" not in done.best


def test_predicting_raises_held_out_prediction(tiny: Aligners, tmp_path: Path) -> None:
    settings = replace(TINY, epochs=6, heads=replace(TINY.heads, rank=2))
    done = tuned(tiny(), tmp_path, settings)
    assert done.best["predict"] < done.start["predict"]


def test_an_anchor_keeps_states_near_the_original(tiny: Aligners, tmp_path: Path) -> None:
    free = tuned(tiny(), tmp_path / "free", replace(TINY, anchor=AnchorSettings(weight=1e-6)))
    held = tuned(tiny(), tmp_path / "held", replace(TINY, anchor=AnchorSettings(weight=100.0)))
    assert held.best["anchor"] < 0.5 * free.best["anchor"]


@pytest.mark.parametrize("family", ["bert", "gpt2"])
@pytest.mark.parametrize("dora", [False, True])
def test_merged_updates_equal_the_unmerged_model(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, dora: bool
) -> None:
    from brainaligner.aligner import _objective_run

    kept: list[BrainAligner] = []
    merge = _objective_run.merge_lora
    monkeypatch.setattr(
        _objective_run, "merge_lora", lambda a: (kept.append(copy.deepcopy(a)), merge(a))
    )
    settings = replace(TINY, lora=LoraSettings(rank=2, dora=dora))
    done = tuned(tiny(family), tmp_path, settings)
    assert any("lora_" in name for name, _ in kept[0].tower.named_parameters())
    assert not any("lora_" in name for name, _ in done.aligner.tower.named_parameters())
    ids = torch.tensor([[7, 8, 9, 10, 11]])
    with torch.inference_mode():
        pair = [a.reader.module(ids).last_hidden_state for a in (kept[0], done.aligner)]
    assert torch.allclose(*pair, atol=1e-5)


def test_an_interrupted_run_ends_with_the_same_bytes(tiny: Aligners, tmp_path: Path) -> None:
    settings = replace(TINY, epochs=3, dropout=0.2)
    whole = tuned(tiny(), tmp_path / "whole", settings)

    class StopError(Exception):
        pass

    def stop(what: str, done: int, total: int) -> None:
        if what == "tuning" and done == whole.steps // 2 + 1:
            raise StopError

    with pytest.raises(StopError):
        tuned(tiny(), tmp_path / "cut", settings, progress=stop)
    again = tuned(tiny(), tmp_path / "cut", settings)
    one, two = weights(whole.aligner), weights(again.aligner)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert whole.best == again.best


def test_a_folder_of_another_run_is_refused(tiny: Aligners, tmp_path: Path) -> None:
    tuned(tiny(), tmp_path, TINY)
    with pytest.raises(InputError, match="other settings, material or weights"):
        tuned(tiny(), tmp_path, replace(TINY, learning_rate=2e-3))


def test_patience_ends_a_run(tiny: Aligners, tmp_path: Path) -> None:
    settings = replace(TINY, epochs=30, learning_rate=0.3, patience=2)
    done = tuned(tiny(), tmp_path, settings)
    assert done.steps < done.planned_steps
    assert done.steps - done.best_step >= 2


def test_a_loss_that_is_no_number_ends_with_advice(tiny: Aligners, tmp_path: Path) -> None:
    with pytest.raises(BrainAlignerError, match="Lower the learning"):
        tuned(tiny(), tmp_path, replace(TINY, learning_rate=1e30, clip=0.0, epochs=2))


def without(side: StoryMaterial, **changes: Any) -> StoryMaterial:
    given: dict[str, Any] = {n: getattr(side, n) for n in ("texts", "responses", "nuisance")}
    return StoryMaterial(**given | changes)


def _broken(values: Mapping[str, Mapping[str, np.ndarray]], change: Any) -> dict[str, Any]:
    made = {s: {k: v.copy() for k, v in y.items()} for s, y in values.items()}
    change(made)
    return made


def _nan(made: Any) -> None:
    made["S1"]["elm"][3, 1] = np.nan


def _long(made: Any) -> None:
    made["S1"]["elm"] = np.ones((31, 6), np.float32)


def _wide(made: Any) -> None:
    made["S1"]["elm"] = np.ones((30, 5), np.float32)


def _unknown(made: Any) -> None:
    made["S1"]["box"] = np.ones((30, 6), np.float32)


@pytest.mark.parametrize(
    ("change", "said"),
    [(_nan, "not finite"), (_long, "31, 6"), (_wide, "widths"), (_unknown, "box")],
)
def test_responses_that_do_not_fit_are_refused(change: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        without(SIDES[0], responses=_broken(SIDES[0].responses, change))


UNKNOWN: Any = "mse"
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "no loss": (lambda: ObjectiveSettings(), "no loss"),
    "anchor alone": (lambda: ObjectiveSettings(anchor=AnchorSettings()), "anchor alone"),
    "dropout of the brain": (lambda: MaskedBrainSettings(dropout=0.4), "0.5 to 1"),
    "loss": (lambda: PredictSettings(loss=UNKNOWN), "squared_error"),
    "weight": (lambda: PredictSettings(weight=0.0), "above 0"),
    "reliability": (lambda: PredictSettings(reliability=-1.0), "0 or more"),
    "window": (lambda: ContrastiveSettings(window=0), "1 or more"),
    "temperature": (lambda: ContrastiveSettings(temperature=0.0), "above 0"),
    "share": (lambda: LanguageSettings(share=1.5), "at most 1"),
    "kind": (lambda: AnchorSettings(kind=UNKNOWN), "states"),
    "delays": (lambda: ResponseHeadSettings(delays=(1, 1)), "each once"),
    "alphas": (lambda: ResponseHeadSettings(alphas=(2.0, 1.0)), "increasing"),
    "rank": (lambda: ResponseHeadSettings(rank=0), "1 or more"),
    "layers": (lambda: replace(TINY, read_layers=()), "each once"),
    "stretch": (lambda: replace(TINY, stretch=1), "2 or more"),
    "betas": (lambda: replace(TINY, betas=(0.9, 1.5)), "from 0 to below 1"),
    "cache with dropout": (
        lambda: replace(TINY, cache="on", dropout=0.1, dropout_in="all"),
        "dropout in all layers",
    ),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", BAD)
def test_settings_out_of_range_are_refused(name: str) -> None:
    make, said = BAD[name]
    with pytest.raises(InputError, match=said):
        make()


UNFIT: dict[str, tuple[str, ObjectiveSettings, str]] = {
    "too many layers": ("bert", replace(TINY, trained_layers=3), "at most 2"),
    "a layer far below": ("bert", replace(TINY, read_layers=(0, 3)), "never changes"),
    "no such layer": ("bert", replace(TINY, read_layers=(4,)), "layer 4"),
    "nothing to train": (
        "bert",
        replace(TINY, trained_layers=0, heads=replace(TINY.heads, kind="fixed")),
        "something to train",
    ),
    "no head": ("headless", replace(TINY, language=LanguageSettings()), "without a head"),
    "no GPU": ("bert", TINY, "without a GPU"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_models_that_cannot_follow_are_refused(tiny: Aligners, tmp_path: Path, name: str) -> None:
    family, settings, said = UNFIT[name]
    device: Any = "cuda" if name == "no GPU" else "cpu"
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match=said):
        check_objectives(tiny(family), settings=settings, options=TuningOptions(device=device))
    with pytest.raises(InputError, match=said):
        tuned(tiny(family), tmp_path, settings, options=TuningOptions(device=device))
    assert not list(tmp_path.iterdir())


SIDES_THAT_DO_NOT_FIT: dict[str, Callable[[], tuple[StoryMaterial, StoryMaterial]]] = {
    "in training and in validation": lambda: (SIDES[0], SIDES[0]),
    "no responses": lambda: (without(SIDES[0], responses={}), SIDES[1]),
    "of S1 to validate": lambda: (
        SIDES[0],
        without(SIDES[1], responses={"S1": SIDES[1].responses["S1"]}),
    ),
    "columns of Z": lambda: (without(SIDES[0], nuisance={}), SIDES[1]),
    "heard alike": lambda: (
        without(
            SIDES[0],
            responses={
                "S1": {s: y for s, y in SIDES[0].responses["S1"].items() if s in TRAIN[:2]},
                "S2": {s: y for s, y in SIDES[0].responses["S2"].items() if s in TRAIN[2:]},
            },
        ),
        SIDES[1],
    ),
}


@pytest.mark.parametrize("said", SIDES_THAT_DO_NOT_FIT)
def test_sides_that_do_not_fit_are_refused(tiny: Aligners, tmp_path: Path, said: str) -> None:
    with pytest.raises(InputError, match=said):
        align(tiny(), *SIDES_THAT_DO_NOT_FIT[said](), settings=TINY, folder=tmp_path)


def test_a_subject_may_lack_a_story_and_rows(tiny: Aligners, tmp_path: Path) -> None:
    cut = {s: dict(y) for s, y in SIDES[0].responses.items()}
    del cut["S2"]["fir"]
    cut["S2"]["oak"] = cut["S2"]["oak"][:25]
    done = align(tiny(), without(SIDES[0], responses=cut), SIDES[1], settings=TINY, folder=tmp_path)
    assert np.isfinite(done.best["r"])


def test_head_layers_are_the_models_own(tiny: Aligners) -> None:
    assert len(layer_stack(tiny())) == 3
