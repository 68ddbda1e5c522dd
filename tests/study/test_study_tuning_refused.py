"""Studies with brains and tunings that are refused before any work, in one clear line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file
from study_trees import Cli, merged, responses, save_own_data, save_study
from tuning_trees import (
    BRAINLM,
    BRAINS,
    N_PARCELS,
    PARCELS,
    SUBJECTS,
    save_listeners,
    save_parcels,
    tuned_study,
    tuning,
)

from brainaligner.brain import BrainLMConfig, random_brainlm

Changes = dict[str, Any]
Refused = Callable[..., str]
"""Runs a changed study that is refused: ``refused(data, changes, '--plan')``; the one line."""
TABLE = {"table": 1, "rows": {"ES": "one"}}


@pytest.fixture(scope="module")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_listeners(tmp_path_factory.mktemp("refused") / "data", SUBJECTS[:2])


@pytest.fixture
def refused(cli: Cli, checkpoint: Path, tmp_path: Path) -> Refused:
    """Run a changed study, and see that it is refused before any work; the line that says why."""

    def line(data: Path, changes: Changes, *options: str) -> str:
        tunings = {"one": tuning(checkpoint, "all")}
        study = tuned_study(checkpoint, data, tunings, brains=BRAINS)
        path = save_study(tmp_path / "study.yaml", merged(study, changes))
        done = cli("run", path, "--out", tmp_path / "out", *options)
        assert done.code == 2, (done.code, done.err)
        errors = [line for line in done.lines if line.startswith("error: ")]
        assert errors == [done.lines[-1]], done.err
        assert "Traceback" not in done.err
        assert ": got " in errors[0]
        assert "; wanted " in errors[0]
        assert not (tmp_path / "out").exists(), sorted((tmp_path / "out").rglob("*"))
        return errors[0]

    return line


def _one(**changes: Any) -> Changes:
    return {"tunings": {"one": changes}}


def _aligner(**changes: Any) -> Changes:
    return _one(aligner=changes)


def _brain(**entry: Any) -> Changes:
    return {"brains": {"mine": entry}, "tunings": {"one": {"brain": "mine"}}}


def _reduced(**settings: Any) -> Changes:
    return {"arms": {"plain": {"reduced_rank": {"rank": [2], "alpha": [100.0], **settings}}}}


def _published(**changes: Any) -> Changes:
    return {"published": [TABLE | changes]}


STUDIES: dict[str, tuple[Changes, str]] = {
    "unknown brain": (_one(brain="al"), "Did you mean 'all'?"),
    "unknown tuning": ({"features": {"one": {"tuning": "on"}}}, "Did you mean 'one'?"),
    "unknown feature of a brain": (
        {"brains": {"es": {"features": "plane"}}},
        "Did you mean 'plain'?",
    ),
    "unknown key of a tuning": (_one(sedes=[1]), "Did you mean 'seeds'?"),
    "unknown key of an aligner": (_aligner(mask_rat=0.3), "Did you mean 'mask_rate'?"),
    "unknown key of an encoder": (_brain(encoder={"kind": "all", "kk": 1}), "Did you mean 'k'?"),
    "unknown key of LoRA": (_aligner(lora={"rnk": 2}), "Did you mean 'rank'?"),
    "unknown key of a head": (_one(head={"epoch": 2}), "Did you mean 'epochs'?"),
    "unknown encoder": (_brain(encoder={"kind": "high_evv"}), "Did you mean 'high_ev'?"),
    "another model": ({"features": {"one": {"model": "embedded"}}}, "which 'one' tunes"),
    "both encoders": (_brain(encoder={"kind": "all"}, brainlm={}, random=BRAINLM), "both"),
    "neither encoder": (_brain(seed=1), "both or neither"),
    "BrainLM without weights": (_brain(brainlm={}), "got neither"),
    "two sources of weights": (
        _brain(brainlm={}, random=BRAINLM, checkpoint="x"),
        "checkpoint and random",
    ),
    "weights for a selection": (_brain(encoder={"kind": "all"}, checkpoint="x"), "checkpoint"),
    "unknown clock": (_one(clock="next"), "tunings.one.clock"),
    "whose brain": (_brain(encoder={"kind": "all"}, subject="UTS02"), "subject"),
    "next of one subject": (
        {"dataset": {"subjects": ["UTS01"]}, "tunings": {"one": {"brain": "other"}}},
        "one subject",
    ),
    "next of others": (
        _one(brain="other", objectives={"predict": {}}, aligner=None, subjects="others"),
        "others, and the brain 'other' of the next subject",
    ),
    "next of all": (
        _one(brain="other", objectives={"predict": {}}, aligner=None, subjects="all"),
        "subjects: own with a brain of the next subject",
    ),
    "other folds of a projection": (
        _one(cross_fit=3) | _reduced(cross_fit=4),
        "arms.plain.reduced_rank.cross_fit: got 3 and 4 folds",
    ),
    "another division of a projection": (
        _one(cross_fit=3) | _reduced(cross_fit=3, seed=2),
        "arms.plain.reduced_rank.seed: got 2",
    ),
    "no seeds": (_one(seeds=[]), "seeds"),
    "equal seeds": (_one(seeds=[1, 1]), "different seeds"),
    "negative seeds": (_one(seeds=[-1]), "different seeds"),
    "seeds too large": (_one(seeds=[2**32]), "seed"),
    "seeds are words": (_one(seeds=["a"]), "seeds.0"),
    "negative seed of a brain": (_brain(encoder={"kind": "noise", "width": 4}, seed=-1), "seed"),
    "negative seed of a head": (_one(head={"seed": -1}), "seed"),
    "negative division seed": (_one(division_seed=-1), "division_seed"),
    "negative context": (_one(context_rows=-1), "context_rows"),
    "no validation story": (_one(validation_stories=0), "validation_stories"),
    "too many validation stories": (_one(validation_stories=3), "more than validation_stories (3)"),
    "both warm-ups": (_aligner(warmup_steps=10), "exactly one"),
    "no warm-up": (_aligner(warmup_share=None), "warmup"),
    "no mask": (_aligner(mask_rate=0.0), "mask_rate"),
    "all masks": (_aligner(mask_rate=1.5), "mask_rate"),
    "mask rate is NaN": (_aligner(mask_rate=float("nan")), "mask_rate"),
    "no epochs": (_aligner(epochs=0), "epochs"),
    "epochs of a head": (_one(head={"epochs": 0}), "epochs"),
    "too many layers": (_aligner(trained_layers=3), "at most 2"),
    "negative layers": (_aligner(trained_layers=-1), "trained_layers"),
    "nothing to train": (
        {
            "tunings": {
                "one": {
                    "brain": None,
                    "aligner": {"trained_layers": 0, "train_head": False},
                }
            }
        },
        "something to train",
    ),
    "no room for text": (_aligner(brain_rows=list(range(120))), "room for at least one token"),
    "float16 on a CPU": (_aligner(precision="float16"), "float16 on a CPU"),
    "layer of a tuned model": ({"features": {"one": {"text": {"layer": 3}}}}, "layer 3"),
    "layer of BrainLM": (
        _brain(brainlm={"layer": 2}, random=BRAINLM, parcels=PARCELS),
        "0 to 1",
    ),
    "pooling of BrainLM": (_brain(brainlm={"pooling": "max"}, random=BRAINLM), "pooling"),
    "random geometry": (
        _brain(brainlm={}, random=BRAINLM | {"hidden_size": 18}, parcels=PARCELS),
        "multiples of 4",
    ),
    "BrainLM without parcels": (_brain(brainlm={}, random=BRAINLM), "no parcels"),
    "no parcel file": (_brain(brainlm={}, random=BRAINLM, parcels="no.npz"), "no.npz"),
    "no checkpoint folder": (
        _brain(brainlm={}, checkpoint="/no/such", parcels=PARCELS),
        "/no/such",
    ),
    "features that an encoder does not read": (
        _brain(encoder={"kind": "all"}, features="plain"),
        "'all' does not read it",
    ),
    "a design that an encoder does not read": (
        _brain(encoder={"kind": "noise", "width": 4}, design={"delays": [2]}),
        "'noise' does not read it",
    ),
    "a design that BrainLM does not read": (
        _brain(brainlm={}, random=BRAINLM, parcels=PARCELS, design={"delays": [2]}),
        "'brainlm' does not read it",
    ),
    "parcels that an encoder does not read": (
        _brain(encoder={"kind": "all"}, parcels=PARCELS),
        "'all' does not read it",
    ),
    **{
        f"{name} of no brain": (
            _one(brain=None, aligner={name: value}),
            f"{name}: got {value} without a brain",
        )
        for name, value in (
            ("train_projection", False),
            ("brain_place", "after"),
            ("brain_segment", 1),
            ("brain_positions", "text_kept"),
        )
    },
    "folds that no heads have": (
        _one(aligner=None, objectives={"predict": {}, "heads": {"folds": 3}}),
        "heads: folds: got 3 for heads of kind 'trained'",
    ),
    "LoRA of no layer": (_aligner(lora={"rank": 2}, trained_layers=0), "no trained layer"),
    "selection without features": (
        _brain(encoder={"kind": "encoding_selection", "k": 3}),
        "no features",
    ),
    "alphas of a selection": (
        _brain(
            encoder={"kind": "encoding_selection", "ridge": {"alphas": [1.0, 10.0]}},
            features="plain",
        ),
        "leave_story_out",
    ),
    "selection by a tuned model": (
        {"brains": {"es": {"features": "one"}}},
        "features of a tuned model",
    ),
    "simulated by a tuned model": (
        {
            "dataset": {"reader": "simulated", "folder": None, "simulation": {"features": "one"}},
        },
        "features of a tuned model",
    ),
    "row of an unknown arm": (_published(rows={"ES": "on"}), "Did you mean 'one'?"),
    "Z of an unknown arm": (_published(with_nuisance={"ES": "onez"}), "Did you mean 'one'?"),
    "Z of another row": (_published(with_nuisance={"BrainLM": "one"}), "same rows"),
    "no rows": (_published(rows={}), "at least one row"),
    "a row nearly the report's": (_published(rows={"Baselin": "one"}), "Write Baseline"),
    "a row in other letters": (_published(rows={"brainlm": "one"}), "Write BrainLM"),
    "a mask rate in words": (
        _published(table=2, rows={"15 %": "one"}),
        "mask rate between 0 and 1",
    ),
    "a mask rate over 1": (_published(table=2, rows={"15": "one"}), "mask rate between 0 and 1"),
    "a mask rate that is not the arm's": (
        _published(table=2, rows={"0.30": "one"}),
        "tuned at a mask rate of 0.15",
    ),
    "table 3": (_published(table=3), "study.published.0.table"),
    "table without whole stories": (
        {"published": [TABLE], "evaluation": {"cuts": [5]}},
        "evaluation.cuts",
    ),
    "rows that are numbers": (_published(table=2, rows={0.3: "one"}), "study.published.0.rows"),
    "different seeds in one arm": (
        {
            "tunings": {"two": {"seeds": [1, 2], "validation_stories": 1}},
            "features": {"two": {"tuning": "two"}},
            "arms": {"one": {"features": ["one", "two"]}},
        },
        "same seeds",
    ),
    "two arms of one name": (
        {"tunings": {"one": {"seeds": [0, 1]}}, "arms": {"one.s0": {"features": ["plain"]}}},
        "'one.s0' twice",
    ),
    "brain with a slash": ({"brains": {"a/b": {"encoder": {"kind": "all"}}}}, "no space or slash"),
    "tuning with a slash": ({"tunings": {"a/b": {}}}, "no space or slash"),
    "tunings are a list": ({"tunings": [1]}, "study.tunings"),
}


@pytest.mark.parametrize("kind", STUDIES)
def test_a_bad_tuning_is_refused(refused: Refused, listeners: Path, kind: str) -> None:
    changes, said = STUDIES[kind]
    assert said in refused(listeners, changes)


@pytest.mark.parametrize("kind", ["too many layers", "next of one subject", "no parcel file"])
def test_a_plan_refuses_the_same(refused: Refused, listeners: Path, kind: str) -> None:
    changes, said = STUDIES[kind]
    assert said in refused(listeners, changes, "--plan")


def test_a_causal_model_is_refused(
    refused: Refused, listeners: Path, checkpoint: Path, tmp_path: Path
) -> None:
    from transformers import GPT2Config, GPT2Model

    folder = shutil.copytree(checkpoint, tmp_path / "causal")
    GPT2Model(
        GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=96)
    ).save_pretrained(folder)
    assert "a causal model" in refused(listeners, _one(model=str(folder)))


def test_a_model_without_a_mask_is_refused(
    refused: Refused, listeners: Path, checkpoint: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "maskless")
    path = folder / "tokenizer_config.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in facts.items() if k != "mask_token"}))
    assert "without a mask token" in refused(listeners, _one(model=str(folder)))


def _arrays(path: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    change(arrays)
    np.savez(path, **arrays)


PARCEL_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:900]), "a damaged file"),
    "empty": (lambda p: p.write_bytes(b""), "cannot be read"),
    "damaged": (
        lambda p: p.write_bytes(p.read_bytes().replace(b"\x00\x00\xe0?", b"\x00\x00\xf0?")),
        "a damaged file",
    ),
    "a single array": (lambda p: np.save(p.open("wb"), np.ones(3)), "cannot be read"),
    "pickled": (
        lambda p: _arrays(p, lambda a: a.update(coordinates=np.array([{}], dtype=object))),
        "cannot be read",
    ),
    "no coordinates": (lambda p: _arrays(p, lambda a: a.pop("coordinates")), "no coordinates"),
    "coordinates are words": (
        lambda p: _arrays(p, lambda a: a.update(coordinates=np.array(["a"] * N_PARCELS))),
        "coordinates",
    ),
    "coordinates without a place": (
        lambda p: _arrays(p, lambda a: a["coordinates"].__setitem__((3, 1), np.nan)),
        "coordinates",
    ),
    "too few parcels": (
        lambda p: _arrays(p, lambda a: a.update(coordinates=a["coordinates"][:9])),
        "9 coordinates",
    ),
    "two coordinates each": (
        lambda p: _arrays(p, lambda a: a.update(coordinates=a["coordinates"][:, :2])),
        "coordinates",
    ),
    "another atlas": (
        lambda p: _arrays(
            p,
            lambda a: a.update(
                {
                    "coordinates": a["coordinates"][:9],
                    **{f"{s}/indptr": a[f"{s}/indptr"][:10] for s in SUBJECTS[:2]},
                    **{f"{s}/shape": np.array([9, 8]) for s in SUBJECTS[:2]},
                }
            ),
        ),
        "9 parcels",
    ),
    "nobody's": (lambda p: save_parcels(p, ["UTS09"]), "no parcels"),
    "a part missing": (lambda p: _arrays(p, lambda a: a.pop("UTS01/data")), "UTS01"),
    "indices out of range": (
        lambda p: _arrays(p, lambda a: a["UTS01/indices"].__setitem__(0, 99)),
        "UTS01",
    ),
    "a weight of NaN": (
        lambda p: _arrays(p, lambda a: a["UTS01/data"].__setitem__(0, np.nan)),
        "UTS01",
    ),
    "wrong columns": (lambda p: save_parcels(p, SUBJECTS, n_columns=6), "6 columns"),
}


@pytest.mark.parametrize("kind", PARCEL_FILES)
def test_a_bad_file_of_parcels_is_refused(
    refused: Refused, listeners: Path, tmp_path: Path, kind: str
) -> None:
    breaks, said = PARCEL_FILES[kind]
    path = Path(shutil.copy(listeners / PARCELS, tmp_path / "mine.npz"))
    breaks(path)
    assert said in refused(listeners, _brain(brainlm={}, random=BRAINLM, parcels=str(path)))


def _save_brainlm(folder: Path) -> Path:
    folder.mkdir()
    fields, state = random_brainlm(BrainLMConfig(**BRAINLM | {"image_size": (432, 208)}), seed=0)
    (folder / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    save_file(state, folder / "model.safetensors")
    return folder


CHECKPOINTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda d: (d / "config.json").unlink(), "config.json"),
    "config is no JSON": (lambda d: (d / "config.json").write_text("{"), "config.json"),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "no weights"),
    "truncated": (
        lambda d: (d / "model.safetensors").write_bytes(
            (d / "model.safetensors").read_bytes()[:-400]
        ),
        "model.safetensors",
    ),
    "empty": (lambda d: (d / "model.safetensors").write_bytes(b""), "model.safetensors"),
    "truncated bin": (
        lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"),
        "pytorch_model.bin",
    ),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_broken_brainlm_is_refused(
    refused: Refused, listeners: Path, tmp_path: Path, kind: str
) -> None:
    breaks, said = CHECKPOINTS[kind]
    folder = _save_brainlm(tmp_path / "brainlm")
    breaks(folder)
    entry = _brain(brainlm={}, checkpoint=str(folder), parcels=PARCELS)
    assert said in refused(listeners, entry)


ONE_STORY = {
    "split": {"folds": 3, "gap": 4}
    | dict.fromkeys(("train", "validation", "test", "test_repeated"))
}
LACKING: dict[str, tuple[Changes, str]] = {
    "repeats": ({"tunings": {"one": {"brain": "high-ev"}}}, "no story with single presentations"),
    "parcels": (_brain(brainlm={}, random=BRAINLM), "no parcels"),
}


@pytest.mark.parametrize("kind", LACKING)
def test_a_dataset_that_lacks_what_an_encoder_needs_is_refused(
    refused: Refused, tmp_path: Path, kind: str
) -> None:
    changes, said = LACKING[kind]
    split = {"test": ["elder", "fig"], "test_repeated": None}
    assert said in refused(save_own_data(tmp_path / "own"), merged({"split": split}, changes))


def test_a_repeated_story_without_its_repeats_is_refused(refused: Refused, tmp_path: Path) -> None:
    data = save_own_data(tmp_path / "own")
    (data / "dataset.json").write_text(json.dumps({"repeated": {"fig": 3}}))
    assert "no story with single presentations" in refused(
        data, {"tunings": {"one": {"brain": "high-ev"}}}
    )


@pytest.mark.parametrize(("width", "most"), [({}, "at most 6:"), ({"width": 7}, "width: 6.")])
def test_more_components_than_targets_are_refused(
    refused: Refused, tmp_path: Path, width: Changes, most: str
) -> None:
    split = {"split": {"test": ["elder", "fig"], "test_repeated": None}}
    changes = merged(split, {"brains": {"few": {"encoder": {"kind": "pca"} | width}}})
    tunings = {"tunings": {"one": {"brain": "few"}}}
    said = refused(save_own_data(tmp_path / "own"), merged(changes, tunings), "--plan")
    assert "principal components of P1" in said
    assert most in said


def test_parcels_without_coordinates_are_refused(refused: Refused, tmp_path: Path) -> None:
    data = save_own_data(tmp_path / "own")
    from study_trees import STORIES

    for subject in ("P1", "P2"):
        np.savez(data / f"{subject}.npz", **responses(STORIES, n_voxels=N_PARCELS))
    (data / "dataset.json").write_text(json.dumps({"space": "parcels"}))
    split = {"split": {"test": ["elder", "fig"], "test_repeated": None}}
    assert "coordinates" in refused(data, merged(split, _brain(brainlm={}, random=BRAINLM)))


def test_one_story_cannot_tune(refused: Refused, tmp_path: Path) -> None:
    data = save_own_data(tmp_path / "alice", stories=["alice"], n_rows=150)
    assert "a dataset of one story cannot tune a model" in refused(data, ONE_STORY)


def test_all_test_stories_seen_is_refused(refused: Refused, listeners: Path) -> None:
    split = {"test": [], "train": ["apple", "birch", "cedar", "elder"]}
    changes = {"tunings": {"one": {"brain": "high-ev"}}, "split": split}
    assert "selects by all of the test stories" in refused(listeners, changes)


def test_another_subject_without_the_story_is_refused(refused: Refused, tmp_path: Path) -> None:
    from study_trees import STORIES

    data = save_own_data(tmp_path / "own")
    arrays = responses(STORIES)
    arrays.pop("birch")
    np.savez(data / "P2.npz", **arrays)
    split = {"split": {"test": ["elder", "fig"], "test_repeated": None}}
    assert "birch" in refused(data, merged(split, {"tunings": {"one": {"brain": "other"}}}))
