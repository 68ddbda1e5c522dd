"""A search from the command line to the best study, without a look at test responses."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from search_trees import (
    ARM,
    SEED,
    SPACE,
    outcomes,
    read_record,
    save_both,
    save_space,
    search,
    searched_study,
    without_times,
)
from study_trees import Cli, artifacts, made_stages, save_own_data, save_study
from tuning_trees import save_listeners, tuned_study, tuning

from brainaligner.core import InputError
from brainaligner.data import open_dataset
from brainaligner.study import load_study

N_TRIALS = 4
Places = tuple[Path, Path]


@pytest.fixture(scope="module")
def places(checkpoint: Path, sound_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """The study and its space."""
    folder = tmp_path_factory.mktemp("searched")
    return save_both(folder, searched_study(checkpoint, sound_data), SPACE)


@pytest.fixture(scope="module")
def made(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished search; to be copied."""
    out = tmp_path_factory.mktemp("out") / "out"
    search(places, out, trials=N_TRIALS)
    return out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return shutil.copytree(made, tmp_path / "out")


def recipes(out: Path) -> list[dict[str, Any]]:
    found = (out / "store").glob("*/*/recipe.json")
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def stories(out: Path, side: str) -> set[str]:
    """Stories on one side of the readouts."""
    found = [one["settings"][side] for one in recipes(out) if one["stage"] == "readout"]
    return {piece[0] for pieces in found for piece in pieces}


def closed_stories(out: Path, data: Path) -> set[str]:
    """Test stories: neither trained on nor chosen on."""
    known = set(open_dataset("folder", data).stories("P1"))
    return known - stories(out, "train") - stories(out, "validation")


def test_the_record_of_a_search(made: Path) -> None:
    record = read_record(made)
    assert set(record) == {
        *("study", "arm", "label", "score", "space", "combinations", "tuner", "trials_wanted"),
        *("warnings", "best", "trials"),
    }
    assert record["space"] == SPACE
    assert (record["study"], record["arm"], record["combinations"]) == ("tiny", ARM, None)
    assert record["tuner"]["seed"] == SEED
    assert record["label"] == "validation stories, also chosen on"
    assert [one["number"] for one in record["trials"]] == list(range(1, N_TRIALS + 1))
    for one in record["trials"]:
        assert set(one) == {
            *("number", "values", "state", "subjects", "mean", "seconds", "reason", "scores")
        }
        assert (one["state"], one["reason"]) == ("finished", "")
        assert set(one["subjects"]) == {"P1", "P2"}
        assert one["mean"] == pytest.approx(fmean(one["subjects"].values()), abs=1e-12)
        assert one["seconds"] > 0
        values = one["values"]
        assert set(values) == set(SPACE)
        assert values["features.two.text.layer"] in (0, 1, 2)
        assert values["features.two.text.context_rows"] in (0, 2)
        assert values["arms.second.design.delays"] in ([0], [1], [1, 2])
        assert 1 <= values["arms.second.design.nuisance_scale"] <= 100
    means = [one["mean"] for one in record["trials"]]
    assert record["best"] == int(np.argmax(means)) + 1
    assert len(set(means)) > 1


def test_the_table_says_the_same(made: Path) -> None:
    with (made / "tiny" / "search.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    record = read_record(made)
    assert list(rows[0]) == [
        *("trial", *SPACE, "r P1", "r P2", "mean r", "seconds", "state", "reason")
    ]
    for row, one in zip(rows, record["trials"], strict=True):
        assert int(row["trial"]) == one["number"]
        assert float(row["mean r"]) == one["mean"]
        assert [float(row["r P1"]), float(row["r P2"])] == list(one["subjects"].values())
        assert {key: json.loads(row[key]) for key in SPACE} == one["values"]


def test_a_search_that_is_over_empties_what_its_tunings_shared(places: Places, out: Path) -> None:
    states = out / "store" / "unfinished" / "states"
    states.mkdir(parents=True)
    (states / "a.npy").write_bytes(b"states")
    search(places, out, trials=N_TRIALS)
    assert not [*states.iterdir()]


def test_the_best_study_runs_and_scores_as_its_trial(cli: Cli, out: Path) -> None:
    record = read_record(out)
    best = record["trials"][record["best"] - 1]
    path = out / "tiny" / "best.yaml"
    text = path.read_text(encoding="utf-8")
    assert f"Trial {best['number']}, the best of {N_TRIALS} finished ones" in text
    config = load_study(str(path))
    assert config.name == "tiny-best"
    assert tuple(config.arms) == ("first", "second")
    assert list(config.arms[ARM].design.delays) == best["values"]["arms.second.design.delays"]
    assert config.features["two"].text.layer == best["values"]["features.two.text.layer"]
    before = artifacts(out)
    done = cli("run", path, "--out", out, "--validation")
    assert done.code == 0, done.err
    made = made_stages(before, artifacts(out))
    assert made["readout"] == made["scores"] == 2  # the other arm's, of two subjects
    run = json.loads((out / "tiny-best-validation" / "run.json").read_text(encoding="utf-8"))
    rows = {
        row["subject"]: row["mean"]
        for row in run["results"]
        if (row["arm"], row["rows_cut"], row["group"]) == (ARM, 0, "validation")
    }
    assert rows == best["subjects"]
    assert set(best["scores"].values()) <= set(run["recipes"].values())


def test_nothing_is_opened_and_no_artifact_names_test_responses(
    made: Path, sound_data: Path
) -> None:
    assert not (made / "store" / "openings.jsonl").exists()
    closed = closed_stories(made, sound_data)
    assert len(closed) == 2
    for one in recipes(made):
        read = {role.rpartition("/")[2] for role in one["inputs"] if role.startswith("responses")}
        assert not read & closed, one["stage"]
    assert stories(made, "test") == stories(made, "validation")


def test_poisoned_test_responses_change_nothing(
    places: Places, made: Path, sound_data: Path, tmp_path: Path
) -> None:
    poisoned = shutil.copytree(sound_data, tmp_path / "poisoned")
    for subject in ("P1", "P2"):
        with np.load(poisoned / f"{subject}.npz") as archive:
            rows = {name: archive[name] for name in archive.files}
        for story in closed_stories(made, sound_data):
            rows[story] = np.full_like(rows[story], np.nan)
        np.savez(poisoned / f"{subject}.npz", **rows)
    found = search(places, tmp_path / "new", trials=N_TRIALS, data=poisoned)
    ours, theirs = (without_times(read_record(o)) for o in (made, tmp_path / "new"))
    assert ours == theirs
    assert found.best is not None


def test_further_trials_go_on(places: Places, out: Path, tmp_path: Path) -> None:
    first = read_record(out)["trials"]
    more = search(places, out, trials=N_TRIALS + 2)
    assert read_record(out)["trials"][:N_TRIALS] == first
    assert len(more.trials) == N_TRIALS + 2
    shutil.copytree(out / "store", tmp_path / "at-once" / "store")
    at_once = search(places, tmp_path / "at-once", trials=N_TRIALS + 2)
    assert outcomes(at_once) == outcomes(more)
    values = [json.dumps(dict(one.values)) for one in more.trials]
    assert len(set(values)) == len(values)


def test_a_finished_search_runs_nothing_again(places: Places, out: Path) -> None:
    before, record = artifacts(out), read_record(out)
    search(places, out, trials=2)
    assert artifacts(out) == before
    again = read_record(out)
    assert again == record | {"trials_wanted": 2}


def test_another_seed_suggests_other_trials(places: Places, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "store", tmp_path / "store")
    other = search(places, tmp_path, trials=2, seed=SEED + 1)
    assert [dict(t.values) for t in other.trials] != [
        t["values"] for t in read_record(made)["trials"][:2]
    ]


def test_the_order_of_a_space_file_is_free(places: Places, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "store", tmp_path / "store")
    turned = save_space(tmp_path / "turned.yaml", dict(reversed(SPACE.items())))
    found = search((places[0], turned), tmp_path, trials=3)
    first = read_record(made)["trials"][:3]
    assert [dict(t.values) for t in found.trials] == [one["values"] for one in first]


def test_the_command_line(cli: Cli, places: Places, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "store", tmp_path / "out" / "store")
    asked = ("search", places[0], "--space", places[1], "--arm", ARM, "--seed", str(SEED))
    done = cli(*asked, "--trials", "2", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    said = [line for line in done.lines if " trial " in line]
    assert len(said) == 2
    first = read_record(made)["trials"][0]
    assert f"validation r {first['mean']:.4f}" in said[0]
    assert "trial 1 of 2: layer " in said[0]
    assert "for comparing, not for a claim" in done.out
    assert all(f"{one['mean']:.4f}" in done.out for one in read_record(tmp_path / "out")["trials"])
    assert (tmp_path / "out" / "tiny" / "best.yaml").is_file()
    printed = cli(*asked, "--trials", "2", "--out", tmp_path / "out", "--json")
    assert json.loads(printed.out) == read_record(tmp_path / "out")
    shown = cli("search", "--help")
    assert "Examples:" in shown.out
    assert "learning_rate" in shown.out


def test_a_plan_starts_nothing(cli: Cli, places: Places, tmp_path: Path) -> None:
    asked = ("search", places[0], "--space", places[1], "--arm", ARM, "--out", tmp_path / "out")
    done = cli(*asked, "--trials", "5", "--plan")
    assert done.code == 0, done.err
    assert "trials: 5 of endlessly many combinations of 4 settings" in done.out
    assert not (tmp_path / "out").exists()
    found = json.loads(cli(*asked, "--trials", "5", "--plan", "--json").out)
    assert {one["stage"] for one in found["stages"]} == {"features", "decomposition", "readout"}
    assert (found["trials"], found["combinations"], found["warnings"]) == (5, None, [])
    assert all(not one["done"] for one in found["stages"])


def test_all_combinations_of_a_small_space_are_tried_once(
    places: Places, made: Path, tmp_path: Path
) -> None:
    shutil.copytree(made / "store", tmp_path / "out" / "store")
    small = {key: SPACE[key] for key in list(SPACE)[1:3]}
    space = save_space(tmp_path / "small.yaml", small)
    found = search((places[0], space), tmp_path / "out", trials=50)
    tried = {json.dumps(dict(one.values), sort_keys=True) for one in found.trials}
    assert len(found.trials) == len(tried) == 6
    assert "all 6 combinations were tried" in (tmp_path / "out/tiny/search.log").read_text()


def planted(folder: Path, checkpoint: Path, layer: int, delay: int) -> Path:
    """Responses that are a layer's states, some rows later, and little noise."""
    from brainaligner.text import (
        TextSettings,
        load_language_model,
        row_states,
        story_texts,
    )

    data = save_own_data(folder)
    dataset, settings = open_dataset("folder", data), TextSettings(layer=layer)
    texts = {
        story: story_texts(
            dataset.transcript(story), dataset.clock, dataset.n_rows("P1", story), settings=settings
        )
        for story in dataset.stories("P1")
    }
    model = load_language_model(str(checkpoint))
    states = row_states(model, texts, [layer], settings=settings)[layer]
    rng = np.random.default_rng(5)
    weights = rng.standard_normal((16, 6))
    for subject in ("P1", "P2"):
        arrays = {}
        for story, found in states.items():
            rows = found.astype(np.float64)
            moved = np.vstack([np.zeros((delay, 16)), rows[: len(rows) - delay]])
            signal = (moved - moved.mean(0)) @ weights
            noise = 0.3 * signal.std() * rng.standard_normal(signal.shape)
            arrays[story] = (signal + noise).astype(np.float32)
        np.savez(data / f"{subject}.npz", **arrays)
    return data


@pytest.mark.parametrize(("layer", "delay"), [(1, 2), (2, 1)])
def test_a_planted_layer_and_delay_win(
    checkpoint: Path, tmp_path: Path, layer: int, delay: int
) -> None:
    data = planted(tmp_path / "planted", checkpoint, layer, delay)
    plain = {"arms": {ARM: {"design": {"nuisance": "none"}}}, "features": {"two": {"text": None}}}
    space = {
        "features.two.text.layer": {"low": 1, "high": 2},
        "arms.second.design.delays": {"choices": [[0], [1], [2]]},
    }
    places = save_both(tmp_path, searched_study(checkpoint, data, plain), space)
    found = search(places, tmp_path / "out", trials=6)
    assert found.best is not None
    assert found.best.values == {
        "features.two.text.layer": layer,
        "arms.second.design.delays": [delay],
    }
    assert found.best.mean is not None
    assert found.best.mean > 0.5
    config = load_study(str(tmp_path / "out" / "tiny" / "best.yaml"))
    assert config.features["two"].text.layer == layer


def test_a_tuning_is_searched_over_all_its_seeds(checkpoint: Path, tmp_path: Path) -> None:
    data = save_listeners(tmp_path / "data", ["UTS01"])
    tunings = {"all": tuning(checkpoint, "all", seeds=[0, 1]), "text": tuning(checkpoint)}
    study = save_study(tmp_path / "study.yaml", tuned_study(checkpoint, data, tunings))
    space = save_space(
        tmp_path / "space.yaml",
        {"tunings.all.aligner.learning_rate": {"low": 1.0e-4, "high": 1.0e-2, "log": True}},
    )
    found = search((study, space), tmp_path / "out", trials=2, arm="all")
    assert [one.state for one in found.trials] == ["finished"] * 2
    for one in found.trials:
        assert set(one.scores) == {"all.s0, UTS01", "all.s1, UTS01"}
        means = []
        for key in one.scores.values():
            stored = tmp_path / "out" / "store" / "scores" / key / "scores.npz"
            with np.load(stored) as archive:
                means.append(float(np.nanmean(archive["validation/cut0"])))
        assert one.subjects["UTS01"] == pytest.approx(fmean(means), abs=1e-6)
    tuned = [one["settings"] for one in recipes(tmp_path / "out") if one["stage"] == "tuning"]
    assert len(tuned) == 4  # two trials of two seeds, and nothing of the other tuning
    assert not (tmp_path / "out" / "store" / "openings.jsonl").exists()


def test_repeated_validation_stories_alone_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    data = save_listeners(tmp_path / "data")
    split = {
        "counts": None,
        "train": ["apple", "birch"],
        "validation": ["fig"],
        "test": ["elder"],
    }
    changes = {"split": split, "evaluation": {"cuts": [0]}}
    places = save_both(tmp_path, searched_study(checkpoint, data, changes), SPACE)
    with pytest.raises(InputError, match="a validation story that was presented once"):
        search(places, tmp_path / "out", trials=1)
    assert not (tmp_path / "out").exists()
