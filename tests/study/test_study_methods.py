"""The methods section says what the settings say, and all of it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from study_trees import Cli, StudyFile

from brainaligner.core import Clock, Space, Split
from brainaligner.study import StudyConfig, load_study
from brainaligner.study import _methods as methods
from brainaligner.study._validation import validation_study

CHECKPOINT = ("--set", "brains.brainlm.checkpoint=vitmae_650M")
SECTION_1 = (
    "LeBel et al., 2023",
    "ds003020",
    "3 subjects (UTS01, UTS02 and UTS03)",
    "TextGrids",
    "one TR of 2 s",
    "each z-scored within its story",
    "NaN and infinite responses became 0",
    "cortical voxels",
    "59 train, 8 validation, 16 test",
    "4 of the training stories set aside to stop by",
    "BrainLM (Ortega Caro et al., 2024), frozen, pretrained weights",
    "the 10,000 targets (of fewer, the share 0.5) of highest explainable variance",
    "the 10,000 targets (of fewer, the share 0.5) that a ridge predicts best",
    "presentations of the repeated story",
    "cross-validated over 5 folds inside the aligner's training stories",
    "block permutation (1000 permutations",
    "brought to the model's width by a learned linear layer",
    "started from bert-large-uncased",
    "one model for each subject",
    "no cross-fitting",
    "Brain vectors of the TRs 0 (counted from the text's)",
    "stand before the text as input embeddings",
    "15 % of the text's tokens were selected",
    "80 % of them masked, 10 % replaced by",
    "10 % left",
    "the loss is that of selected tokens alone",
    "The top 2 layers were trained, with the masked-LM head; all below stayed frozen",
    "betas (0.9, 0.98)",
    "weight decay 0.01",
    "learning rate 1e-05",
    "2,000 warm-up steps",
    "dropout 0.1",
    "at most 256 tokens",
    "batches of 32 accumulated 2 times",
    "At evaluation only text goes in",
    "mean of the output states of the last layer over the tokens of the row's own words",
    "a row gets the words of its own TR, no left context",
    "at delays 0 TRs",
    "one alpha for all targets by mean r on validation stories",
    "features unscaled",
    "Pearson correlations",
    "mean and median over targets",
)


def _prepared(config: StudyConfig, sizes: dict[str, int]) -> Any:
    """As much of a prepared study as the section reads, with made-up stories."""
    n_train, n_validation, n_test = config.split.counts or (59, 8, 16)
    names = [f"story{i}" for i in range(83)]
    cuts = (n_train - 1, n_train - 1 + n_validation)
    split = Split(
        train=tuple(names[: cuts[0]]),
        validation=tuple(names[cuts[0] : cuts[1]]),
        test=tuple(names[cuts[1] : cuts[1] + n_test]),
    )
    dataset = SimpleNamespace(space=lambda subject: Space("voxels", sizes[subject]))
    stimuli = SimpleNamespace(clock=Clock(2.0, 11.0))
    division = SimpleNamespace(splits=dict.fromkeys(sizes, split), stimuli=stimuli)
    return SimpleNamespace(config=config, dataset=dataset, division=division)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["report-table1", "report-table2"])
def test_the_published_study_is_told_in_full(name: str) -> None:
    config = load_study(name)
    found = methods.study_methods(_prepared(config, {f"UTS0{i}": 81_126 for i in (1, 2, 3)}))
    text = " ".join(words for _, words in found.paragraphs)
    named = [s for s in SECTION_1 if "targets (of fewer" not in s] if name[-1] == "2" else SECTION_1
    for setting in named:
        if name[-1] == "2" and re.search(r"cross-validated|permutation|repeated|15 %", setting):
            continue
        assert setting in text, setting
    assert "alpha: 0.01 to 1000 in 6 steps" in text or "from 0.01 to 1000 in 6 steps" in text
    if name[-1] == "2":
        for rate in (30, 45, 60, 75, 90):
            assert f"{rate} % of the text's tokens were selected" in text
    assert any("555" in reference for reference in found.references)


@pytest.mark.usefixtures("unchecked")
def test_predicting_studies_tell_their_losses() -> None:
    config = load_study("prediction")
    found = methods.study_methods(_prepared(config, {"UTS01": 200}))
    text = " ".join(words for _, words in found.paragraphs)
    for words in (
        "principal components",
        "cross-fitted over 5 folds of training stories",
        "one model for all subjects",
        "Losses: predict (weight 1, by correlation)",
        "Losses: language (weight 1, on 25 % of the texts)",
        "Layer 4 and those right below it, 2 in all, were trained",
        "what a regression on Z leaves of the responses",
        "of 2 evaluations in an epoch",
        "cross-fitted heads",
        "at delays 1, 2, 3 and 4",
        "moved circularly in time",
        "with the nuisance block Z",
        "weights drawn by seed",
        "10 TRs of left context",
    ):
        assert words in text, words


@pytest.mark.usefixtures("unchecked")
def test_nothing_is_said_that_a_setting_takes_back() -> None:
    changes = [
        "tunings.text.aligner.clip=0",
        "tunings.es60-lag.aligner.train_projection=false",
        "brains.es60.encoder.k=null",
        "arms.plain-z.design.word_length=true",
    ]
    config = load_study("components-table1", overrides=changes)
    found = dict(methods.study_methods(_prepared(config, {"UTS01": 200})).paragraphs)
    text = next(part for part in found["Tuning"].split("started from") if "no clipping" in part)
    assert "Brain vectors" not in text  # that tuning reads none
    assert "a drawn, fixed linear layer" in found["Tuning"]
    assert "all targets that a ridge predicts best" in found["Brain encoders"]
    assert found["Readout"].count("word length in it") == 1


@pytest.mark.usefixtures("unchecked")
def test_validation_runs_do_not_speak_of_test_scores() -> None:
    config = validation_study(load_study("baseline"))
    found = dict(methods.study_methods(_prepared(config, {"UTS01": 200})).paragraphs)
    assert "responses to test stories were not read" in found["Stories"]
    assert "Test stories were scored" not in found["Stories"]


@pytest.mark.usefixtures("unchecked")
def test_every_citation_has_its_reference_and_no_other_stands() -> None:
    marks = methods.REFERENCES
    config = load_study("baseline")
    found = methods.study_methods(_prepared(config, {"UTS01": 200}))
    text = " ".join(words for _, words in found.paragraphs)
    assert {*found.references} == {ref for mark, ref in marks.items() if mark in text}
    for year in re.findall(r"et al\., \d{4}", text):
        assert any(year in mark for mark in marks)


def test_a_run_leaves_the_section_as_text_and_on_its_page(
    study_file: StudyFile, tmp_path: Path, cli: Cli
) -> None:
    study = study_file({"title": "A study & its <title>"})
    done = cli("run", study, "--out", tmp_path / "out", "--threads", "1")
    assert done.code in (0, 4), done.err
    folder = tmp_path / "out" / yaml.safe_load(study.read_text(encoding="utf-8"))["name"]
    text = (folder / "methods.md").read_text(encoding="utf-8")
    assert text.startswith("**Data.** We analysed")
    assert "at delays 1 and 2 TRs" in text
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Methods, to paste" in page
    assert "at delays 1 and 2 TRs" in page
