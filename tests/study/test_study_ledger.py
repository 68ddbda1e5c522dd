"""Each configuration that sees test scores is counted, and a last one is confirmed."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from study_trees import STORIES

from brainaligner.evaluation import Opening, configurations_seen, opened_stories
from brainaligner.study import RunOptions, load_study
from brainaligner.study._arm_config import FeatureConfig
from brainaligner.study._confirm import confirmation
from brainaligner.study._confirm_digest import plan_digest
from brainaligner.study._controls import with_controls
from brainaligner.study._lay_out import lay_out_study
from brainaligner.study._ledger import Ledger, record_opening
from brainaligner.study._null_tunings import with_null_tunings

STUDY_TIME = "2026-01-01T00:00:00+00:00"


def opening(configuration, *stories):
    return Opening(STUDY_TIME, "study", configuration, frozenset(stories))


def ledger_lines(out):
    return (out / "store" / "openings.jsonl").read_text(encoding="utf-8").splitlines()


def run_json(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def test_configurations_count_once_and_only_where_stories_meet():
    seen = [opening("a", "s1", "s2"), opening("a", "s1"), opening("b", "s2"), opening("c", "s9")]
    assert configurations_seen(seen, {"s1"}) == 1
    assert configurations_seen(seen, {"s1", "s2"}) == 2
    assert configurations_seen(seen, {"s3"}) == 0
    assert opened_stories(seen) == {"s1", "s2", "s9"}


def test_a_ledger_gives_back_what_was_added(tmp_path):
    ledger = Ledger(tmp_path)
    assert ledger.openings() == ()
    first, second = opening("a", "s1"), opening("b", "s1", "s2")
    ledger.add(first)
    ledger.add(second)
    ledger.add(opening("a", "s1"))
    assert ledger.openings() == (first, second)


@pytest.mark.parametrize("torn", [b'{"when": "2026', b"\xff\xfe", b"[]", b'{"when": 3}\n'])
def test_a_torn_line_costs_nothing_else(tmp_path, torn):
    ledger = Ledger(tmp_path)
    ledger.add(opening("a", "s1"))
    with (tmp_path / "openings.jsonl").open("ab") as file:
        file.write(torn)
    ledger.add(opening("b", "s1"))
    assert [one.configuration for one in ledger.openings()] == ["a", "b"]


def test_many_writers_lose_no_line(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: Ledger(tmp_path).add(opening(f"c{i % 20}", "s")), range(60)))
    found = [one.configuration for one in Ledger(tmp_path).openings()]
    assert sorted(found) == sorted({f"c{i}" for i in range(20)})


def test_a_run_is_counted_once_and_a_third_configuration_is_warned_of(cli, study_file, out):
    assert len(ledger_lines(out)) == 1
    study = study_file()
    assert cli("run", study, "--out", out).code == 0
    assert len(ledger_lines(out)) == 1
    assert run_json(out / "tiny")["openings"] == 1
    alphas = "defaults.ridge.alphas"
    assert cli("run", study, "--out", out, "--set", f"{alphas}=[1,10]").code == 0
    done = cli("run", study, "--out", out, "--set", f"{alphas}=[1,50]")
    assert done.code == 0
    assert "seen by 3 configurations" in done.out
    record = run_json(out / "tiny")
    assert record["openings"] == 3
    warned = [w for w in record["audit"]["warnings"] if w["name"] == "test-set-opened"]
    assert "3 configurations" in warned[0]["figure"]
    page = (out / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "3 configurations, this one among them" in page


def test_other_cuts_of_the_same_predictions_are_no_new_configuration(cli, study_file, out):
    changed = study_file({"evaluation": {"cuts": [0]}})
    assert cli("run", changed, "--out", out).code == 0
    assert len(ledger_lines(out)) == 1


def test_a_confirmation_scores_only_stories_that_nobody_scored(cli, study_file, out):
    study = study_file()
    opened = opened_stories(Ledger(out / "store").openings())
    assert cli("run", study, "--out", out, "--confirm").code == 0
    first, second = Ledger(out / "store").openings()
    assert first.confirms is None
    assert not opened & second.stories
    train, validation, test = second.confirms
    assert (len(train), len(validation), len(test)) == (3, 1, 2)
    record = run_json(out / "tiny-confirm")
    assert record["openings"] == 1
    assert record["about"]["confirms"] == "tiny, on stories that were never scored"
    scored = {story for group in record["results"] for story in [group["group"]]}
    assert scored == {"test"}


def test_a_study_is_confirmed_once(cli, study_file, out):
    study = study_file()
    assert cli("run", study, "--out", out, "--confirm").code == 0
    before = ledger_lines(out)
    assert cli("run", study, "--out", out, "--confirm").code == 0
    assert ledger_lines(out) == before


def test_a_confirmation_is_refused_when_all_stories_were_scored(cli, study_file, out):
    study = study_file()
    assert cli("run", study, "--out", out, "--confirm").code == 0
    other = [study, "--out", out, "--set", "defaults.ridge.alphas=[1,10]"]
    assert cli("run", *other, "--set", "split.seed=5").code == 0
    left = opened_stories(Ledger(out / "store").openings())
    refused = cli("run", *other, "--set", "split.counts=[2,1,3]", "--confirm")
    assert refused.code == 2
    assert "stories that were never scored" in refused.err
    assert opened_stories(Ledger(out / "store").openings()) == left


def test_a_confirmation_is_not_drawn_again_by_other_judgements(cli, study_file, out):
    study = study_file()
    assert cli("run", study, "--out", out, "--confirm").code == 0
    first = ledger_lines(out)
    for changed in ("null_draws=3", "evaluation.n_bootstrap=25", "comparison.margin=0.05"):
        assert cli("run", study, "--out", out, "--confirm", "--set", changed).code == 0
    assert ledger_lines(out) == first


def test_a_second_confirmation_of_a_study_is_warned_of(cli, study_file, out):
    study = study_file({"split": {"counts": [4, 1, 1]}})
    assert cli("run", study, "--out", out, "--confirm").code == 0
    assert "confirmations" not in json.dumps(run_json(out / "tiny-confirm")["audit"])
    other = ("--set", "defaults.ridge.alphas=[1,10]")
    assert cli("run", study, "--out", out, "--confirm", *other).code == 0
    warned = run_json(out / "tiny-confirm")["audit"]["warnings"]
    figures = [one["figure"] for one in warned if one["name"] == "test-set-opened"]
    assert "2 confirmations in this store, 2 of tiny" in figures


def test_a_confirmation_leaves_out_stories_that_a_validation_run_scored(cli, study_file, out):
    order = [sorted(STORIES)[i] for i in np.random.default_rng(1).permutation(len(STORIES))]
    sides = {"validation": order[:2], "train": order[2:4], "test": order[4:]}
    study = study_file({"split": sides | {"counts": None}})
    assert cli("run", study, "--out", out / "new", "--validation").code == 0
    assert cli("run", study, "--out", out / "new", "--confirm").code == 0
    (line,) = ledger_lines(out / "new")
    assert not set(order[:2]) & set(json.loads(line)["confirms"][2])


def test_the_reference_from_other_listeners_is_no_arm_beside_the_ledger(cli, study_file, out):
    shown = study_file({"other_listeners": {"shown": True}})
    for components in (2, 3, 4, 5):
        changed = f"other_listeners.components={components}"
        assert cli("run", shown, "--out", out, "--set", changed).code == 0
    assert run_json(out / "tiny")["audit"]["warnings"] == []


PACKAGED = ("baseline", "components-table1", "components-crossfit", "demo", "linear-frontier")


def without_controls(config):
    return replace(config, controls=())


def renamed(config):
    arms = {f"my-{name}": arm for name, arm in config.arms.items()}
    return replace(config, arms=arms, published=())


def unread_feature(config):
    return replace(config, features={**config.features, "unread": FeatureConfig("other")})


def elsewhere(config):
    return replace(config, dataset=replace(config.dataset, folder="/elsewhere"))


def with_one_null(config):
    return with_null_tunings(replace(config, nulls=True, null_tunings=("noise",)), 3)


def with_nulls(config):
    return with_null_tunings(with_controls(replace(config, nulls=True)), 3)


@pytest.mark.parametrize("name", PACKAGED)
@pytest.mark.parametrize(
    "change",
    [
        without_controls,
        with_controls,
        renamed,
        unread_feature,
        elsewhere,
        with_one_null,
        with_nulls,
    ],
)
def test_what_changes_no_score_of_an_arm_makes_no_other_study_to_confirm(name, change):
    assert plan_digest(change(load_study(name))) == plan_digest(load_study(name))


@pytest.mark.parametrize(
    "changes",
    [
        ["dataset.subjects=[UTS01]"],
        ["dataset.simulation.tree.seed=5"],
        ["features.plain.text.layer=3"],
        ["tunings.es.aligner.learning_rate=0.1"],
        ["tunings.es.validation_stories=2"],
        ["brains.es.encoder.k=7"],
        ["arms.es.design.delays=[1]"],
        ["arms.es.ridge.alphas=[3]"],
        ["arms.more.features=[plain]", "arms.more.ridge.alphas=[3]"],
    ],
)
def test_what_can_change_a_score_makes_another_study_to_confirm(changes):
    assert plan_digest(load_study("demo", overrides=changes)) != plan_digest(load_study("demo"))


def test_a_confirmation_is_known_again_wherever_its_data_lie(study_file, data, tmp_path):
    def laid_out(folder, *overrides):
        config = load_study(str(study_file(data=folder)), overrides=overrides)
        return lay_out_study(config, RunOptions(tmp_path / "out"))

    plan, store = laid_out(data)
    first = confirmation(plan.prepared, store.open()).split
    confirmed, _ = laid_out(data)
    begun, _ = lay_out_study(confirmation(confirmed.prepared, store), RunOptions(tmp_path / "out"))
    record_opening(begun, store)
    moved = shutil.copytree(data, tmp_path / "moved")
    beside = ("nulls=true", "controls=[untrained]")
    assert confirmation(laid_out(moved, *beside)[0].prepared, store).split == first
    for path in moved.glob("*.npz"):
        np.savez(path, **{story: rows[::-1] for story, rows in np.load(path).items()})
    other = confirmation(laid_out(moved)[0].prepared, store).split
    assert not set(other.test) & set(first.test)
