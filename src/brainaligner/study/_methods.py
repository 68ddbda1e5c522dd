"""A methods section in words, from the settings: every number in it is read, none is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from brainaligner.aligner import AlignerSettings, ObjectiveSettings
from brainaligner.brain import BrainSettings
from brainaligner.core import WithinStorySplit
from brainaligner.study._arm_config import ArmConfig, FeatureConfig
from brainaligner.study._config import StudyConfig
from brainaligner.study._methods_words import (
    REFERENCES,
    SOURCES,
    aligner_words,
    encoder_words,
    listed,
    objective_words,
    readout_words,
    text_words,
)
from brainaligner.study._prepare import Prepared
from brainaligner.study._tuning_config import BrainConfig, TuningConfig
from brainaligner.study._words import split_words


@dataclass(frozen=True)
class Methods:
    """A methods section.

    Parameters
    ----------
    paragraphs : tuple of (heading, text)
    references : tuple of str
        What the text cites, in alphabetical order.
    """

    paragraphs: tuple[tuple[str, str], ...]
    references: tuple[str, ...]

    @property
    def markdown(self) -> str:
        """The section as text to paste."""
        parts = [f"**{heading}.** {text}" for heading, text in self.paragraphs]
        if self.references:
            cited = "\n".join(f"- {reference}" for reference in self.references)
            parts.append(f"References:\n\n{cited}")
        return "\n\n".join(parts) + "\n"


def study_methods(prepared: Prepared) -> Methods:
    """Write the methods of a study out of its settings and of what its data are."""
    config = prepared.config
    paragraphs = [
        ("Data", _data(prepared)),
        ("Stories", _stories(prepared)),
        ("Features", _features(config)),
        *([("Brain encoders", _encoders(prepared))] if config.brains else []),
        *([("Tuning", _tunings(prepared))] if config.tunings else []),
        ("Readout", _readouts(config)),
        ("Scores", _scores(config)),
    ]
    text = " ".join(words for _, words in paragraphs)
    cited = {reference for mark, reference in REFERENCES.items() if mark in text}
    return Methods(tuple(paragraphs), tuple(sorted(cited)))


def _data(prepared: Prepared) -> str:
    config, dataset = prepared.config, prepared.dataset
    subjects = tuple(prepared.division.splits)
    spaces = {dataset.space(subject).kind for subject in subjects}
    sizes = listed([str(dataset.space(subject).size) for subject in subjects])
    clock = prepared.division.stimuli.clock
    source = "SIMULATED listeners" if prepared.simulated else (
        SOURCES.get(config.dataset.reader, f"the recordings read by {config.dataset.reader!r}")
    )  # fmt: skip
    return (
        f"We analysed {source}: {len(subjects)} subjects ({listed(subjects)}) with {sizes} "
        f"{listed(sorted(spaces))}. A row is one TR of {clock.tr:g} s; the centre of the first "
        f"lies "
        f"at {clock.first:g} s of story time. NaN and infinite responses became 0."
    )


def _stories(prepared: Prepared) -> str:
    config, splits = prepared.config, prepared.division.splits
    words = split_words(splits, config.split)
    if any(isinstance(split, WithinStorySplit) for split in splits.values()):
        return f"Parts of one story were predicted in turn ({words})."
    told = len({story for split in splits.values() for story in split.stories})
    tested = (
        "Scores are those of validation stories; responses to test stories were not read."
        if config.scored_on == "validation"
        else "Test stories were scored after both."
    )
    return (
        f"{told} stories were divided by story, never by TR: {words}. Training stories fit the "
        "readout, and validation stories choose its settings, unless training stories left out in "
        f"turn do. {tested}"
    )


def _features(config: StudyConfig) -> str:
    return " ".join(
        f"{name}: {_source(config, feature)}, {text_words(feature.text)}."
        for name, feature in config.features.items()
    )


def _source(config: StudyConfig, feature: FeatureConfig) -> str:
    if feature.tuning is not None:
        return f"{feature.model} after the tuning {feature.tuning!r}; text alone goes in"
    if feature.seed is not None:
        return f"the architecture of {feature.model} with weights drawn by seed {feature.seed}"
    return f"{feature.model} as it comes"


def _encoders(prepared: Prepared) -> str:
    widths = prepared.state_widths
    return " ".join(
        f"{name}: {_encoder(brain, widths)}" for name, brain in prepared.config.brains.items()
    )


def _encoder(brain: BrainConfig, widths: Mapping[str, int]) -> str:
    whose = "" if brain.subject == "own" else " Vectors are those of the study's next subject."
    if isinstance(brain.encoder, BrainSettings):
        plain = None if brain.features is None else (brain.features, brain.design)
        return encoder_words(brain.encoder, plain) + whose
    assert brain.brainlm is not None
    settings = brain.brainlm
    weights = "random weights" if brain.checkpoint is None else "frozen, pretrained weights"
    every = "the rows as they are" if settings.target_tr is None else (
        f"samples of {settings.target_tr:g} s, by linear interpolation"
    )  # fmt: skip
    return (
        f"BrainLM (Ortega Caro et al., 2024), {weights}; for each TR the state "
        f"({_state_width(brain, widths):,} numbers) of layer {settings.layer} over a window of "
        f"200 samples that ends there ({every}), pooled over "
        f"{settings.pooling.replace('_', ' ')} ({settings.columns})." + whose
    )


def _state_width(brain: BrainConfig, widths: Mapping[str, int]) -> int:
    """How many numbers a state of a brain encoder's fMRI foundation model has."""
    if brain.checkpoint is not None:
        return widths[brain.checkpoint]
    assert brain.random is not None
    return brain.random.hidden_size


def _tunings(prepared: Prepared) -> str:
    said: dict[str, list[str]] = {}
    for name, tuning in prepared.config.tunings.items():
        words = _tuning(tuning, prepared.infos[tuning.model].width)
        said.setdefault(words, []).append(f"{name} (brain: {tuning.brain or 'none'})")
    return " ".join(f"{listed(names)}: {words}" for words, names in said.items())


def _tuning(tuning: TuningConfig, width: int) -> str:
    settings: AlignerSettings | ObjectiveSettings = tuning.objectives or tuning.aligner
    how = (
        objective_words(settings)
        if isinstance(settings, ObjectiveSettings)
        else aligner_words(settings, width=None if tuning.brain is None else width)
    )
    whose = {
        "own": "one model for each subject",
        "all": "one model for all subjects",
        "others": "for each subject a model tuned on all others",
    }[tuning.subjects]
    fold = (
        "one model for all stories (no cross-fitting)"
        if tuning.cross_fit is None
        else f"cross-fitted over {tuning.cross_fit} folds of training stories"
    )
    context = f"{tuning.context_rows} TRs of left context" if tuning.context_rows else "no context"
    head = tuning.head
    learned = (
        f" A checkpoint without a masked-LM head learned one first, all else frozen "
        f"({head.epochs} epochs at most, learning rate {head.learning_rate:g})."
    )
    reads_tokens = tuning.objectives is None or tuning.objectives.reads_tokens
    return (
        f"started from {tuning.model}, {whose}, {fold}, {tuning.validation_stories} of the "
        f"training stories set aside to stop by (drawn with seed {tuning.division_seed}), words of "
        f"the TR's {tuning.clock} window with {context}, seeds "
        f"{listed([str(s) for s in tuning.seeds])}. {how}{learned * reads_tokens}"
    )


def _readouts(config: StudyConfig) -> str:
    said: dict[str, list[str]] = {}
    for name, arm in config.arms.items():
        said.setdefault(readout_words(arm), []).append(_arm_name(name, arm))
    return " ".join(f"{listed(names)}: {words}" for words, names in said.items())


def _arm_name(name: str, arm: ArmConfig) -> str:
    return name if not arm.read else f"{name} ({listed(arm.features)})"


def _scores(config: StudyConfig) -> str:
    return " ".join(_score_sentences(config))


def _score_sentences(config: StudyConfig) -> Iterator[str]:
    evaluation = config.evaluation
    cuts = listed([str(cut) for cut in evaluation.cuts])
    yield (
        "Scores are Pearson correlations of predicted and measured responses over all rows of the "
        f"scored stories, for each target, with {cuts} rows cut at each end of a story; their mean "
        "and median over targets are given for each subject and averaged over subjects."
    )
    yield (
        f"Intervals of {100 * evaluation.level:g} % are bootstrapped over stories where 8 or more "
        "were scored, else over blocks of rows and conditional on these stories "
        f"({evaluation.n_bootstrap} draws); the shift null moves predictions in time "
        f"({evaluation.n_shifts} draws)."
    )
    tests = config.significance
    if tests is not None:
        yield (
            f"Each target was tested by block permutation ({tests.permutations} permutations), "
            f"false discoveries controlled at {tests.q:g} (Benjamini and Hochberg (1995))."
        )
    yield "Computed with brainaligner; each number's recipe stands in the run's report."
