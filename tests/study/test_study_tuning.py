"""Studies with brains and tunings from the command line to the page."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_trees import (
    Cli,
    artifacts,
    environment,
    made_stages,
    run_process,
    save_study,
)
from tuning_trees import (
    BRAINLM,
    REPEATED,
    SUBJECTS,
    recipes,
    save_listeners,
    tuned_study,
    tuning,
)

from brainaligner.brain import BrainLMConfig, random_brainlm

TESTED = ("elder", REPEATED)
WITH_BRAIN = ("all", "es", "noise", "shifted", "other", "high-ev", "brainlm", "brainlm-30")
PUBLISHED = [
    {
        "table": 1,
        "rows": {"Baseline": "plain", "BrainLM": "brainlm", "ES": "es", "ours": "all"},
        "with_nuisance": {"Baseline": "plain-z", "BrainLM": "brainlm-z"},
    },
    {"table": 2, "rows": {"0.15": "brainlm", "0.30": "brainlm-30"}},
]


def whole_study(checkpoint: Path, data: Path) -> dict[str, Any]:
    tunings = {name: tuning(checkpoint, name) for name in WITH_BRAIN if name != "brainlm-30"}
    tunings["all"]["seeds"] = [0, 1]
    tunings["brainlm-30"] = tuning(checkpoint, "brainlm", aligner={"mask_rate": 0.3})
    tunings["text"] = tuning(checkpoint)
    arms = {
        f"{name}-z": {"features": [name], "design": {"nuisance": "with"}}
        for name in ("plain", "brainlm")
    }
    return tuned_study(checkpoint, data, tunings, arms=arms, published=PUBLISHED)


@pytest.fixture(scope="module")
def place(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study of three listeners: ``study.yaml`` and ``out``."""
    folder = tmp_path_factory.mktemp("tuned")
    data = save_listeners(folder / "data")
    study = save_study(folder / "study.yaml", whole_study(checkpoint, data))
    done = run_process("run", study, "--out", folder / "out", "--threads", "1")
    assert done.code == 0, done.err
    assert "Writing model shards" not in done.err
    return folder


@pytest.fixture(scope="module")
def run_json(place: Path) -> dict[str, Any]:
    return json.loads((place / "out" / "tuned" / "run.json").read_text(encoding="utf-8"))


def _table(run: dict[str, Any], title: str) -> list[dict[str, str]]:
    (table,) = [t for t in run["tables"] if title in t["title"]]
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def _means(run: dict[str, Any], arm: str, measure: str = "mean") -> dict[str, float]:
    return {
        row["subject"]: row[measure]
        for row in run["results"]
        if (row["arm"], row["group"], row["rows_cut"]) == (arm, "test", 0)
    }


def test_each_tuning_says_how_it_went(run_json: dict[str, Any]) -> None:
    found = {(t["tuning"], t["subject"], t["seed"]): t for t in run_json["tunings"]}
    seeds = {name: (0, 1) if name == "all" else (0,) for name in (*WITH_BRAIN, "text")}
    assert set(found) == {(t, s, seed) for t in seeds for s in SUBJECTS for seed in seeds[t]}
    for (name, _, _), facts in found.items():
        bits = {"none", "plain", "unigram"} | ({"true"} if name in WITH_BRAIN else set())
        assert set(facts["bits"]) == bits  # 48 rows are too few for a shift
        assert all(0 < value < np.log2(60) for value in facts["bits"].values())
        assert (facts["epochs"], facts["best_epoch"], facts["head_learned"]) == (1, 1, True)
        assert {"layer 1", "layer 2", "head"} <= set(facts["moved"])
        assert all(0 < value < 1 for value in facts["moved"].values())
        assert ("projection" in facts["moved"]) == (name in WITH_BRAIN)
        alike = facts["similarity"]
        assert list(alike) == ["0", "1", "2"]
        assert alike["0"] == {"cka": 1.0, "rsa": 1.0}  # embeddings do not train
        assert all(0 < one[kind] < 1 for k, one in alike.items() if k != "0" for kind in one)
    kinds = {t["tuning"]: t["brain"] for t in run_json["tunings"]}
    assert (kinds["text"], kinds["brainlm-30"]) == ("none", "brainlm")
    rows = _table(run_json, "Tuned models")
    assert len(rows) == len(found)
    for row in rows:
        lowest = row["similarity to the original lowest (layer)"]
        assert re.fullmatch(r"CKA [01]\.\d{3} \([12]\), RSA [01]\.\d{3} \([12]\)", lowest)


def test_another_listeners_brain_that_fits_as_it_is_tunes_the_model_that_is_there(
    run_json: dict[str, Any],
) -> None:
    models = {(t["tuning"], t["subject"], t["seed"]): t["model"] for t in run_json["tunings"]}
    lenders = dict(zip(SUBJECTS, (*SUBJECTS[1:], SUBJECTS[0]), strict=True))
    for subject, lender in lenders.items():
        assert models["other", subject, 0] == models["all", lender, 0]
        assert models["other", subject, 0] != models["all", subject, 0]


def test_seeds_are_arms_of_their_own(run_json: dict[str, Any]) -> None:
    arms = [row["arm"] for row in run_json["results"]]
    assert {"all.s0", "all.s1"} <= set(arms)
    assert "all" not in arms
    assert _means(run_json, "all.s0") != _means(run_json, "all.s1")


def test_published_tables_stand_beside_ours(run_json: dict[str, Any]) -> None:
    text = (resources.files("brainaligner.report") / "published.csv").read_text(encoding="utf-8")
    theirs = {
        (line["table"], line["arm"], line["mask_rate"], line["subject"]): line
        for line in csv.DictReader(text.splitlines())
    }
    places = {
        "Table 1": {"Baseline": ("1", "Baseline", ""), "ES": ("1", "ES", "0.15")},
        "Table 2": {"0.15": ("1", "BrainLM", "0.15"), "0.30": ("2", "BrainLM", "0.30")},
    }
    arms = {"Baseline": "plain", "ES": "es", "0.15": "brainlm", "0.30": "brainlm-30"}
    for title, rows in places.items():
        shown = {(r["row"], r["numbers"]): r for r in _table(run_json, f"{title} of the report")}
        for row, line in rows.items():
            for measure in ("mean", "median"):
                ours = _means(run_json, arms[row], measure)
                ours["mean"] = float(np.mean(list(ours.values())))
                for subject in ("mean", *SUBJECTS):
                    column = f"{'all subjects' if subject == 'mean' else subject} {measure}"
                    known = float(theirs[*line, subject][f"r_{measure}"])
                    assert float(shown[row, "ours"][column]) == pytest.approx(
                        ours[subject], abs=5.1e-5
                    )
                    assert float(shown[row, "report"][column]) == pytest.approx(known, abs=5.1e-5)
                    assert float(shown[row, "difference"][column]) == pytest.approx(
                        ours[subject] - known, abs=5.1e-5
                    )


def test_rows_with_z_and_spread_over_seeds(run_json: dict[str, Any]) -> None:
    rows = _table(run_json, "Table 1 of the report")
    shown = {(r["row"], r["numbers"]): r for r in rows}
    assert [r["numbers"] for r in rows if r["row"] == "BrainLM"] == [
        "ours", "report", "difference", "ours, with Z",
    ]  # fmt: skip
    with_z = float(shown["Baseline", "ours, with Z"]["UTS02 mean"])
    assert with_z == pytest.approx(_means(run_json, "plain-z")["UTS02"], abs=5.1e-5)
    assert [r["numbers"] for r in rows if r["row"] == "ours"] == ["ours"]
    seeds = [np.mean(list(_means(run_json, f"all.s{seed}").values())) for seed in (0, 1)]
    spread = float(shown["ours", "ours"]["seeds SD"])
    assert spread == pytest.approx(np.std(seeds, ddof=1), abs=5.1e-5)
    assert shown["ES", "ours"]["seeds SD"] == "n/a"


def test_a_story_that_chose_voxels_is_not_scored(place: Path, run_json: dict[str, Any]) -> None:
    scored = {(row["arm"], row["group"]) for row in run_json["results"]}
    assert {("es", REPEATED), ("plain", REPEATED), ("high-ev", "test")} <= scored
    assert ("high-ev", REPEATED) not in scored
    folder = place / "out" / "tuned"
    with (folder / "table.tsv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    named = {(line["arm"], line["group"]) for line in lines}
    assert named == scored
    with np.load(folder / "scores.npz") as arrays:
        assert f"es/UTS01/{REPEATED}/cut0" in arrays.files
        assert "high-ev/UTS01/test/cut0" in arrays.files
        assert not [n for n in arrays.files if n.startswith("high-ev/") and REPEATED in n]
    for table in run_json["tables"]:
        for row in table["rows"]:
            assert not (row[0] == "high-ev" and row[1].startswith(REPEATED)), row
    said = [f for f in run_json["findings"] if f["where"] == "high-ev" and REPEATED in f["text"]]
    assert [f["severity"] for f in said] == ["warn"]
    assert "not scored for this arm" in said[0]["text"]


def test_the_plain_protocol_is_named(place: Path, run_json: dict[str, Any]) -> None:
    warned = {
        f["where"]
        for f in run_json["findings"]
        if f["severity"] == "warn" and "without cross-fitting" in f["text"]
    }
    assert warned == {*WITH_BRAIN, "all.s0", "all.s1", "brainlm-z"} - {"all"}
    page = (place / "out" / "tuned" / "report.html").read_text(encoding="utf-8")
    for said in ("without cross-fitting", "Table 2 of the report", "Tuned models", "0.1973"):
        assert said in page


def test_what_trains_names_no_test_story(place: Path) -> None:
    out = place / "out"
    for stage in ("brain", "head", "tuning"):
        found = recipes(out, stage)
        assert found
        for recipe in found.values():
            chosen = recipe["settings"].get("repeated", [])
            kind = recipe["settings"].get("kind")
            assert chosen == ([REPEATED] if kind == "high_ev" else [])
            text = json.dumps(recipe)
            for story in {"daisy", *TESTED} - set(chosen):
                assert story not in text, (stage, recipe)
    for recipe in recipes(out, "readout").values():
        assert not [name for name in recipe["inputs"] if name in {f"responses/{t}" for t in TESTED}]


def test_a_tuned_model_needs_nothing_of_ours(place: Path, checkpoint: Path) -> None:
    folder = next((place / "out" / "store" / "tuning").glob("*/model"))
    script = f"""
import sys, torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer
words = AutoTokenizer.from_pretrained({str(folder)!r})
ids = words("we walked along the [MASK]", return_tensors="pt")
tuned = AutoModelForMaskedLM.from_pretrained({str(folder)!r}).eval()
states = AutoModel.from_pretrained({str(folder)!r}, add_pooling_layer=False).eval()
plain = AutoModel.from_pretrained({str(checkpoint)!r}, add_pooling_layer=False).eval()
assert torch.isfinite(tuned(**ids).logits).all()
assert torch.equal(tuned.bert(**ids)[0], states(**ids)[0])
assert not torch.equal(plain(**ids)[0], states(**ids)[0])
before, after = (model.embeddings.word_embeddings.weight for model in (plain, states))
assert torch.equal(before, after)
assert "brainaligner" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_second_run_makes_nothing_and_a_plan_says_done(place: Path, cli: Cli) -> None:
    study, out = place / "study.yaml", place / "out"
    before = artifacts(out)
    assert cli("run", study, "--out", out, "--threads", "1").code == 0
    assert made_stages(before, artifacts(out)) == {}
    planned = json.loads(cli("run", study, "--out", out, "--plan", "--json").out)
    assert all(stage["done"] for stage in planned["stages"])
    done = cli("run", study, "--out", out, "--plan")
    n = len(planned["stages"])
    assert f"{n} of {n} stages are done." in done.out
    assert artifacts(out) == before


def test_a_plan_lists_each_stage_once_and_writes_nothing(
    place: Path, cli: Cli, tmp_path: Path
) -> None:
    done = cli("run", place / "study.yaml", "--out", tmp_path / "new", "--plan", "--json")
    assert done.code == 0, done.err
    assert not (tmp_path / "new").exists()
    planned = json.loads(done.out)
    speeds = planned["operations_per_second"]
    assert speeds["float32"] > 0
    for stage in planned["stages"]:
        assert stage["seconds"] == pytest.approx(stage["flop"] / speeds[stage["precision"]])
    assert not any(stage["done"] for stage in planned["stages"])
    stages = [stage["stage"] for stage in planned["stages"]]
    for name in ("features", "head", "brain", "tuning", "decomposition", "readout"):
        assert stages.count(name) == len(recipes(place / "out", name)), name
    assert len({(s["stage"], s["what"]) for s in planned["stages"]}) == len(stages)
    kept = ("features", "head", "brain", "tuning", "decomposition", "readout")
    assert all(s["flop"] > 0 for s in planned["stages"])
    assert all(s["disk"] > 0 for s in planned["stages"] if s["stage"] in kept)


def test_a_plan_has_memory_for_the_weights_of_brainlm(
    cli: Cli, checkpoint: Path, tmp_path: Path
) -> None:
    save_listeners(tmp_path / "data", SUBJECTS[:1])
    sizes = {"hidden_size": 128, "num_hidden_layers": 6, "intermediate_size": 512}
    study = tuned_study(
        checkpoint,
        tmp_path / "data",
        {"brainlm": tuning(checkpoint, "brainlm")},
        brains={"brainlm": {"random": sizes}},
    )
    path = save_study(tmp_path / "study.yaml", study)
    done = cli("run", path, "--out", tmp_path / "out", "--plan", "--json")
    assert done.code == 0, done.err
    memory = next(s["memory"] for s in json.loads(done.out)["stages"] if s["stage"] == "brain")
    state = random_brainlm(BrainLMConfig(**BRAINLM | sizes | {"image_size": (432, 208)}), seed=0)[1]
    blocks = sum(w.nbytes for name, w in state.items() if name.startswith("vit.encoder."))
    assert memory > 0.99 * blocks


SWEPT = ("--over", "tunings.text.aligner.mask_rate=[0.15,0.3]")


def test_a_sweep_joins_tables_and_shares_a_store(
    place: Path, checkpoint: Path, cli: Cli, tmp_path: Path
) -> None:
    study = tuned_study(checkpoint, place / "data", {"text": tuning(checkpoint)})
    study["dataset"]["subjects"] = ["UTS01"]
    path = save_study(tmp_path / "study.yaml", study)
    patience = ("--over", "tunings.text.aligner.patience=[null,1]")
    done = cli("sweep", path, *SWEPT, *patience, "--out", tmp_path / "out", "--threads", "1")
    assert done.code == 0, done.err
    rates = [(rate, n) for rate in (0.15, 0.3) for n in (None, 1)]
    names = {f"tuned-mask_rate-{rate}-patience-{n}-validation" for rate, n in rates}
    tables = {"tuned-sweep.tsv", "tuned-sweep-ranking.tsv"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"store", *tables, *names}
    assert not (tmp_path / "out" / "store" / "openings.jsonl").exists()
    made = {
        stage: len(recipes(tmp_path / "out", stage)) for stage in ("head", "tuning", "features")
    }
    assert made == {"head": 1, "tuning": 4, "features": 5}
    with (tmp_path / "out" / "tuned-sweep.tsv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    keys = [
        tuple(line[f"tunings.text.aligner.{k}"] for k in ("mask_rate", "patience"))
        for line in lines
    ]
    assert set(keys) == {(rate, n) for rate in ("0.15", "0.3") for n in ("None", "1")}
    for (rate, n), line in zip(keys, lines, strict=True):
        run = json.loads(
            (
                tmp_path / "out" / f"tuned-mask_rate-{rate}-patience-{n}-validation" / "run.json"
            ).read_text()
        )
        (row,) = [
            r
            for r in run["results"]
            if (r["arm"], r["group"], str(r["rows_cut"]))
            == (line["arm"], line["group"], line["rows_cut"])
        ]
        assert float(line["r_mean"]) == pytest.approx(row["mean"], abs=1e-6)


@pytest.mark.parametrize(
    ("over", "said"),
    [
        (["mask_rate"], "no list of values"),
        (["split.gap=3"], "no list of values"),
        (["split.gap=[]"], "no list of values"),
        (["=[1]"], "no key"),
        (["evaluation.seed=[1,1]"], "equal values"),
        (["split.gap=[1]", "split.gap=[2]"], "each once"),
        (["split.gapp=[1]"], "Did you mean 'gap'?"),
        (["split.gap=[1,-1]"], "split.gap"),
    ],
)
def test_a_bad_sweep_is_refused(
    place: Path, cli: Cli, tmp_path: Path, over: list[str], said: str
) -> None:
    options = [part for one in over for part in ("--over", one)]
    done = cli("sweep", place / "study.yaml", *options, "--out", tmp_path / "out")
    assert done.code == 2
    assert done.lines[-1].startswith("error: ")
    assert said in done.lines[-1]
    assert not (tmp_path / "out").exists()


def test_a_damaged_tuning_is_named(place: Path, cli: Cli, tmp_path: Path) -> None:
    out = shutil.copytree(place / "out", tmp_path / "out")
    victim = next((out / "store" / "tuning").glob("*/facts.json"))
    victim.write_text("{}", encoding="utf-8")
    done = cli("run", place / "study.yaml", "--out", out)
    assert done.code == 1
    assert f"error: {victim}: damaged artifact" in done.lines[-1]


def test_nulls_of_the_tuning_that_a_study_has_stand_beside_their_arm(
    run_json: dict[str, Any],
) -> None:
    rows = _table(run_json, "Tuned on its brain, and on brains that know nothing")
    labels = {row["arm"] for row in rows}
    assert {"all, null: shifted (shifted)", "all, null: other-listener (other)"} <= labels
    assert "all, null: noise (noise)" in labels
    own, null = _means(run_json, "all"), _means(run_json, "shifted")
    (row,) = [r for r in rows if "shifted" in r["arm"] and r["stories"] == "test"]
    for subject, mean in own.items():
        assert row[f"{subject} difference"] == f"{mean - null[subject]:+.4f}"
    lacking = [f for f in run_json["findings"] if "nulls of its tuning" in f["text"]]
    assert any(f["where"] == "es" and "not: shifted" in f["text"] for f in lacking)
    assert not any(f["where"] in ("all", "shifted", "other", "noise") for f in lacking)


def test_arms_whose_encoder_selects_are_also_tested_over_its_targets(
    run_json: dict[str, Any],
) -> None:
    over = {(line["arm"], line["over"]) for line in run_json["significance"]}
    assert ("es", "the 3 targets of its encoder") in over
    assert {arm for arm, family in over if family != "all targets"} == {"es", "high-ev"}
    chosen = [line for line in run_json["significance"] if line["over"] != "all targets"]
    assert {line["n_tested"] for line in chosen} == {3}
