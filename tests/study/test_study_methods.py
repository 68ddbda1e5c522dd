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
from brainaligner.encoding import BandedSettings, RidgeSettings
from brainaligner.study import StudyConfig, load_study
from brainaligner.study import _methods as methods
from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._validation import validation_study
from brainaligner.study._words import ridge_words
from brainaligner.text import DesignSettings

PUBLISHED = ("report-table1", "report-table1-hrf", "report-table2", "report-table2-hrf")
RATES = (30, 45, 60, 75, 90)
SECTION_1 = (
    # data
    "LeBel et al., 2023",
    "ds003020",
    "3 subjects (UTS01, UTS02 and UTS03)",
    "81126, 94251 and 95556 voxels",
    "TextGrids",
    "one TR of 2 s",
    "each z-scored within its story",
    "NaN and infinite responses became 0",
    "cortical voxels",
    "84 stories were divided by story",
    "59 train, 8 validation, 16 test, 1 repeated test stories",
    "4 of the training stories set aside to stop by",
    # brain encoders
    "BrainLM (Ortega Caro et al., 2024), frozen, pretrained weights",
    "for each TR the state (1,280 numbers)",
    "brought to the model's width (1,024 numbers) by a learned linear layer",
    # the aligner
    "started from bert-large-uncased",
    "one model for each subject",
    "no cross-fitting",
    "Brain vectors of the TRs 0 (counted from the text's)",
    "stand before the text as input embeddings",
    "Masked language modelling (Devlin et al., 2019)",
    "15 % of the text's tokens were selected",
    "80 % of them masked, 10 % replaced by tokens drawn from the vocabulary, 10 % left",
    "the loss is that of selected tokens alone",
    "The top 2 layers were trained, with the masked-LM head; all below stayed frozen",
    "AdamW (Loshchilov and Hutter, 2019) with betas (0.9, 0.98)",
    "weight decay 0.01",
    "learning rate 1e-05",
    "2,000 warm-up steps",
    "dropout 0.1",
    "at most 256 tokens",
    "batches of 32 accumulated 2 times",
    "At evaluation only text goes in",
    "mean of the output states of the last layer over the tokens of the row's own words",
    "a row gets the words of its own TR, no left context",
    # readout
    "ridge regression with one alpha for all targets by mean r on validation stories",
    "each target has its own weights",
    "Pearson correlations",
    "mean and median over targets are given for each subject and averaged over subjects",
)
TABLE_1 = (
    "plain: bert-large-uncased as it comes",
    "the 10,000 targets (of fewer, the share 0.5) of highest explainable variance over the "
    "presentations of the repeated story, z-scored",
    "the 10,000 targets (of fewer, the share 0.5) that a ridge predicts best",
    "cross-validated over 5 folds inside the aligner's training stories from the features 'plain'",
    "significant by block permutation (1000 permutations; Benjamini and Hochberg (1995) at 0.05)",
)
AS_PUBLISHED = ("alpha: one of 0.01, 0.1, 1, 10, 100, 1000", "at delays 0 TRs", "features unscaled")
WITH_DELAYS = ("at delays 1, 2, 3 and 4 TRs", "features scaled within story", "alpha: 1 to 1e+07")


def _prepared(config: StudyConfig, sizes: dict[str, int]) -> Any:
    """As much of a prepared study as the section reads, with made-up stories."""
    n_train, n_validation, n_test = config.split.counts or (60, 8, 16)
    names = [f"story{i}" for i in range(84)]
    cuts = (n_train - 1, n_train - 1 + n_validation)  # the repeated story was one to train on
    split = Split(
        train=tuple(names[: cuts[0]]),
        validation=tuple(names[cuts[0] : cuts[1]]),
        test=tuple(names[cuts[1] : cuts[1] + n_test]),
        test_repeated=(names[-1],),
    )
    models = {one.model for one in (*config.features.values(), *config.tunings.values())}
    folders = [brain.checkpoint for brain in config.brains.values() if brain.checkpoint]
    return SimpleNamespace(
        config=config,
        simulated=False,
        dataset=SimpleNamespace(space=lambda subject: Space("voxels", sizes[subject])),
        division=SimpleNamespace(
            splits=dict.fromkeys(sizes, split),
            stimuli=SimpleNamespace(clock=Clock(2.0, 11.0)),
        ),
        infos=dict.fromkeys(models, SimpleNamespace(width=1024)),
        state_widths=dict.fromkeys(folders, 1280),
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_study_is_told_in_full(name: str) -> None:
    sizes = {"UTS01": 81_126, "UTS02": 94_251, "UTS03": 95_556}
    found = methods.study_methods(_prepared(load_study(name), sizes))
    text = " ".join(words for _, words in found.paragraphs)
    of_table = (
        TABLE_1
        if "table1" in name
        else [f"{rate} % of the text's tokens were selected" for rate in RATES]
    )
    readout = WITH_DELAYS if name.endswith("-hrf") else AS_PUBLISHED
    assert [said for said in (*SECTION_1, *of_table, *readout) if said not in text] == []
    assert any("555" in reference for reference in found.references)


@pytest.mark.usefixtures("unchecked")
def test_intervals_are_told_as_they_are_drawn() -> None:
    found = methods.study_methods(_prepared(load_study("baseline"), {"UTS01": 200}))
    text = " ".join(words for _, words in found.paragraphs)
    assert "over stories where 8 or more were scored, else over blocks of rows" in text


def test_a_section_that_cites_nothing_has_no_list() -> None:
    assert methods.Methods((("Data", "None."),), ()).markdown == "**Data.** None.\n"
    cited = methods.Methods((("Data", "Some."),), ("A (2000)",)).markdown
    assert cited.endswith("References:\n\n- A (2000)\n")


READOUTS = {
    "one alpha for all targets by mean r on validation stories, penalty alpha ||W||^2, "
    "features scaled within story, no intercept": {},
    "one alpha for each target by mean r on leave-one-story-out, penalty alpha ||W||^2, "
    "features scaled within story, features scaled by the training rows, with intercept": {
        "ridge": RidgeSettings(
            alpha="per_target", selection="leave_story_out", intercept=True, scaling="training"
        )
    },
    "one alpha for all targets, penalty alpha ||W||^2, features scaled by the training rows, "
    "with intercept": {
        "design": DesignSettings(scaling="none"),
        "ridge": RidgeSettings(alphas=(10.0,), intercept=True, scaling="training"),
    },
    "banded ridge, one penalty for each band and target, chosen by r on leave-one-story-out, "
    "penalty alpha ||W||^2, features unscaled, with intercept": {
        "design": DesignSettings(scaling="none"),
        "banded": BandedSettings(selection="leave_story_out", intercept=True),
    },
}


@pytest.mark.parametrize("said", READOUTS)
def test_a_readout_is_told_as_it_is_set(said: str) -> None:
    assert ridge_words(ArmConfig(("one",), **READOUTS[said])) == said


def test_no_published_study_is_left_out() -> None:
    folder = Path(methods.__file__).parent / "presets"
    assert {path.stem for path in folder.glob("report-*.yaml")} == {*PUBLISHED}


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
