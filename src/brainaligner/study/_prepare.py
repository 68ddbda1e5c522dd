"""Everything that can be refused is refused here, before any work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from brainaligner.brain import brainlm_info
from brainaligner.core import (
    InputError,
    Progress,
    Split,
    StoryGroup,
    ValidationSplit,
)
from brainaligner.data import Dataset, open_dataset, says_simulated
from brainaligner.evaluation import Finding, story_groups
from brainaligner.study._ceiling_stage import CeilingTask, ceiling_task
from brainaligner.study._centring import centring_findings
from brainaligner.study._config import StudyConfig
from brainaligner.study._dataset_config import SIMULATED
from brainaligner.study._division import (
    AnySplit,
    Listing,
    missing_story_notes,
    subject_split,
    unread_stories,
    whole_split,
)
from brainaligner.study._features import Stimuli
from brainaligner.study._null_tunings import listeners_alike, with_null_tunings
from brainaligner.study._prepare_checks import (
    check_clock,
    check_groups,
    check_reach,
    check_references,
    check_scored_rows,
    check_selection,
)
from brainaligner.study._region_files import Regions, study_regions
from brainaligner.text import ModelInfo, model_info

DATA_VARIABLE = "BRAINALIGNER_DATA"


@dataclass(frozen=True)
class Division:
    """How a study and a dataset fit together.

    Parameters
    ----------
    splits : mapping of subject to split
        A subject that lacks stories keeps the rest of the division.
    groups : mapping of subject to story groups
        Test stories scored together, single-presentation and repeated ones apart.
    stimuli : Stimuli
    findings : tuple of Finding
        What the reader should know of how subjects and stories were matched, and of responses
        that lie off 0.
    """

    splits: Mapping[str, AnySplit]
    groups: Mapping[str, tuple[StoryGroup, ...]]
    stimuli: Stimuli
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Prepared:
    """A study that has passed every check that needs no computation.

    Parameters
    ----------
    config : StudyConfig
    dataset : Dataset
    division : Division
    infos : mapping of model name to ModelInfo
    digests : mapping of subject to mapping of story to str
        Content of the responses, with the reader that gives them their values.
    regions : mapping of subject to mapping of region to columns
        Empty where the study names no regions.
    ceilings : tuple of CeilingTask
        One for each subject and repeated test story.
    checkpoints : mapping of folder to str
        Content of the fMRI foundation models that brain encoders read.
    state_widths : mapping of folder to int
        How many numbers a state of these models has.
    """

    config: StudyConfig
    dataset: Dataset
    division: Division
    infos: Mapping[str, ModelInfo]
    digests: Mapping[str, Mapping[str, str]]
    regions: Mapping[str, Regions]
    ceilings: tuple[CeilingTask, ...]
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    state_widths: Mapping[str, int] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether nobody was measured: by the study, or by what stands beside the responses."""
        return self.config.dataset.reader == SIMULATED or says_simulated(self.dataset.folder)


def model_infos(config: StudyConfig, *, device: str) -> dict[str, ModelInfo]:
    """Look at each language model without loading it.

    Raises
    ------
    InputError
        For a model that is not there, a layer that it does not have, or a precision that the
        device does not offer.
    """
    infos = {name: model_info(name) for name in {f.model: None for f in config.features.values()}}
    for name, feature in config.features.items():
        feature.text.resolve_layer(infos[feature.model])
        if feature.text.dtype == "float16" and device == "cpu":
            raise InputError(
                f"features.{name}.text.dtype",
                got="float16 on a CPU",
                wanted="float32 or bfloat16",
                do="Use float32, or a GPU.",
            )
    return infos


def data_folder(config: StudyConfig, given: str | None) -> Path:
    """The data's folder: ``--data``, else the study file, else the environment.

    Raises
    ------
    InputError
        If none of them names one.
    """
    folder = given or config.dataset.folder or os.environ.get(DATA_VARIABLE)
    if not folder:
        raise InputError(
            f"dataset {config.dataset.reader!r}",
            got="no data folder",
            wanted="the folder that holds the data",
            do=f"Give --data FOLDER, dataset.folder in the study, or {DATA_VARIABLE}.",
        )
    return Path(folder).expanduser()


def open_study_dataset(config: StudyConfig, folder: Path) -> Dataset:
    """Open the data of a study; a simulated tree has the real layout and the real reader."""
    reader = "lebel2023" if config.dataset.reader == SIMULATED else config.dataset.reader
    return open_dataset(reader, folder)


def prepare(
    config: StudyConfig, dataset: Dataset, infos: Mapping[str, ModelInfo], *, progress: Progress
) -> Prepared:
    """Match a study with its data, and read all responses once for their digests.

    Raises
    ------
    InputError
        As `divide`; also for responses, region files or repeats that cannot be read.
    """
    division = divide(config, dataset)
    if config.scored_on == "validation":
        dataset = _without_test_responses(config, dataset, division)
    config = with_null_tunings(config, listeners_alike(division.splits))
    folders = {brain.checkpoint for brain in config.brains.values() if brain.checkpoint is not None}
    models = {folder: brainlm_info(Path(folder).expanduser()) for folder in folders}
    checkpoints = {folder: info.digest for folder, info in models.items()}
    widths = {folder: info.config.hidden_size for folder, info in models.items()}
    regions = study_regions(config.dataset.regions, dataset, tuple(division.splits))
    ceilings = _ceiling_tasks(config, dataset, division)
    digests = _response_digests(dataset, division.splits, progress)
    off_centre = centring_findings(config, dataset, division.splits)
    division = replace(division, findings=(*division.findings, *off_centre))
    return Prepared(
        config, dataset, division, infos, digests, regions, ceilings, checkpoints, widths
    )


def _without_test_responses(config: StudyConfig, dataset: Dataset, division: Division) -> Dataset:
    """The dataset without responses to test stories, but for repeats that choose voxels."""
    choosing = any(brain.kind == "high_ev" for brain in config.brains.values())
    heard = {story for split in division.splits.values() for story in split.stories}
    repeated = {story for story in heard if choosing and dataset.presentations(story) > 1}
    unread = unread_stories(division.splits, repeated=frozenset(repeated))
    for subject, split in division.splits.items():
        assert isinstance(split, Split)
        check_scored_rows(config, dataset, subject, ValidationSplit.of(split))
    return dataset.withholding(unread)


def _ceiling_tasks(
    config: StudyConfig, dataset: Dataset, division: Division
) -> tuple[CeilingTask, ...]:
    cuts = config.evaluation.cuts
    return tuple(
        ceiling_task(dataset, subject, group, division.splits[subject], cuts)
        for subject, groups in division.groups.items()
        for group in groups
        if group.presentations == "repeated" and config.scored_on == "test"
    )


def divide(config: StudyConfig, listing: Listing) -> Division:
    """Match a study with what a dataset says it has.

    Raises
    ------
    InputError
        For a subject or story that does not exist, a story on two sides, a subject left
        without stories on one side, stories too short to be scored, delays longer than a
        within-story gap, or a reference number for a group or subject that is not there.
    """
    subjects = config.dataset.subjects or listing.subjects
    stories = {subject: listing.stories(subject) for subject in subjects}
    whole = whole_split(config.split, listing, stories)
    splits = {subject: subject_split(whole, subject, stories[subject]) for subject in subjects}
    rows = _most_rows(listing, splits)
    stimuli = Stimuli({story: listing.transcript(story) for story in rows}, rows, listing.clock)
    presentations = {story: listing.presentations(story) for story in rows}
    groups = {subject: story_groups(split, presentations) for subject, split in splits.items()}
    for name, arm in config.arms.items():
        check_clock(name, arm, config)
        check_reach(name, arm, whole)
        check_selection(name, arm, splits)
        check_references(name, arm, groups, listing.subjects)
    for subject, split in splits.items():
        check_groups(subject, groups[subject])
        check_scored_rows(config, listing, subject, split)
    return Division(splits, groups, stimuli, missing_story_notes(whole, splits))


def _response_digests(
    dataset: Dataset, splits: Mapping[str, AnySplit], progress: Progress
) -> dict[str, dict[str, str]]:
    digests: dict[str, dict[str, str]] = {}
    total = sum(len(split.stories) for split in splits.values())
    done = 0
    for subject, split in splits.items():
        digests[subject] = {}
        for story in (story for story in split.stories if story not in dataset.withheld):
            content = dataset.responses_digest(subject, story)
            digests[subject][story] = f"{dataset.reader}/{content}"
            done += 1
            progress("reading responses", done, total)
    return digests


def _most_rows(listing: Listing, splits: Mapping[str, AnySplit]) -> dict[str, int]:
    rows: dict[str, int] = {}
    for subject, split in splits.items():
        for story in split.stories:
            rows[story] = max(rows.get(story, 0), listing.n_rows(subject, story))
    return dict(sorted(rows.items()))
