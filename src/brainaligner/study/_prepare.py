"""Everything that can be refused is refused here, before any work."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from brainaligner.core import (
    InputError,
    Split,
    StoryGroup,
    WithinStorySplit,
    draw_split,
    unknown_name,
)
from brainaligner.data import Dataset, open_dataset
from brainaligner.evaluation import Finding, story_groups
from brainaligner.study._config import SIMULATED, SplitConfig, StudyConfig
from brainaligner.study._features import Stimuli
from brainaligner.study._settings import settings_from_mapping
from brainaligner.text import ModelInfo, model_info

DATA_VARIABLE = "BRAINALIGNER_DATA"
_DEFAULT_COUNTS = (60, 8, 16)
AnySplit = Split | WithinStorySplit


@dataclass(frozen=True)
class Prepared:
    """A study that has passed every check that needs no computation.

    Parameters
    ----------
    config : StudyConfig
    dataset : Dataset
    splits : mapping of subject to split
        A subject that lacks stories keeps the rest of the division.
    groups : mapping of subject to story groups
        Test stories scored together, single-presentation and repeated ones apart.
    infos : mapping of model name to ModelInfo
    stimuli : Stimuli
    findings : tuple of Finding
        What the reader should know of how subjects and stories were matched.
    """

    config: StudyConfig
    dataset: Dataset
    splits: Mapping[str, AnySplit]
    groups: Mapping[str, tuple[StoryGroup, ...]]
    infos: Mapping[str, ModelInfo]
    stimuli: Stimuli
    findings: tuple[Finding, ...]


def model_infos(config: StudyConfig) -> dict[str, ModelInfo]:
    """Look at each language model without loading it.

    Raises
    ------
    InputError
        For a model that is not there or not complete, or a layer that it does not have.
    """
    infos = {name: model_info(name) for name in {f.model: None for f in config.features.values()}}
    for feature in config.features.values():
        feature.text.resolve_layer(infos[feature.model])
    for info in infos.values():
        assert info.digest  # reads, and so checks, every file of the checkpoint
    return infos


def data_folder(config: StudyConfig, given: str | None) -> Path:
    """The data's folder: ``--data``, else the study file, else the environment."""
    folder = given or config.dataset.folder or os.environ.get(DATA_VARIABLE)
    if folder is None:
        raise InputError(
            f"dataset {config.dataset.reader!r}",
            got="no data folder",
            wanted="the folder that holds the data",
            do=f"Give --data FOLDER, dataset.folder in the study, or {DATA_VARIABLE}.",
        )
    return Path(folder)


def prepare(config: StudyConfig, dataset: Dataset, infos: Mapping[str, ModelInfo]) -> Prepared:
    """Match a study with its data.

    Raises
    ------
    InputError
        For a subject or story that does not exist, a story on two sides, a subject left
        without stories on one side, or delays longer than a within-story gap.
    """
    subjects = _subjects(config, dataset)
    stories = {subject: dataset.stories(subject) for subject in subjects}
    whole = _whole_split(config.split, dataset, stories)
    splits = {subject: _restrict(whole, subject, stories[subject]) for subject in subjects}
    _check_reach(config, whole)
    rows = _most_rows(dataset, splits)
    stimuli = Stimuli({story: dataset.transcript(story) for story in rows}, rows, dataset.clock)
    presentations = {story: dataset.presentations(story) for story in rows}
    groups = {subject: story_groups(split, presentations) for subject, split in splits.items()}
    _check_references(config, groups)
    return Prepared(
        config, dataset, splits, groups, infos, stimuli, _missing_story_notes(whole, splits)
    )


def open_study_dataset(config: StudyConfig, folder: Path) -> Dataset:
    """Open the data of a study; a simulated tree has the real layout and the real reader."""
    reader = "lebel2023" if config.dataset.reader == SIMULATED else config.dataset.reader
    return open_dataset(reader, folder)


def _subjects(config: StudyConfig, dataset: Dataset) -> tuple[str, ...]:
    wanted = config.dataset.subjects or dataset.subjects
    for subject in wanted:
        if subject not in dataset.subjects:
            raise unknown_name("dataset.subjects", "subject", subject, dataset.subjects)
    return tuple(wanted)


def _whole_split(
    split: SplitConfig, dataset: Dataset, stories: Mapping[str, Sequence[str]]
) -> AnySplit:
    known = sorted({story for names in stories.values() for story in names})
    if split.folds is not None:
        return _within_story(split, dataset, stories, known)
    if len(known) == 1:
        raise InputError(
            "split",
            got=f"one story ({known[0]}) in {dataset.reader}",
            wanted="split: {folds: 5, gap: 10}, which divides the rows of one story",
            do="A dataset of one story has no held-out stories.",
        )
    if split.file is not None:
        split = _read_split_file(split.file, dataset.folder)
    if split.named:
        named = Split(
            split.train or (), split.validation or (), split.test or (), split.test_repeated
        )
        named.check_against(known)
        return named
    repeated = [story for story in known if dataset.presentations(story) > 1]
    counts = split.counts or _DEFAULT_COUNTS
    return draw_split(known, counts, seed=split.seed, repeated=repeated)


def _within_story(
    split: SplitConfig,
    dataset: Dataset,
    stories: Mapping[str, Sequence[str]],
    known: Sequence[str],
) -> WithinStorySplit:
    if len(known) != 1:
        raise InputError(
            "split.folds",
            got=f"{len(known)} stories in {dataset.reader}",
            wanted="a dataset of one story",
            do="Use counts or names, which hold out stories.",
        )
    rows = {dataset.n_rows(subject, known[0]) for subject in stories}
    if len(rows) > 1:
        raise InputError(
            f"rows of {known[0]!r}",
            got=" and ".join(map(str, sorted(rows))),
            wanted="as many rows for each subject",
            do="Leave subjects out with dataset.subjects.",
        )
    return WithinStorySplit(known[0], rows.pop(), split.folds or 5, split.gap)


def _read_split_file(file: str, folder: Path) -> SplitConfig:
    path = Path(file) if Path(file).is_absolute() else folder / file
    try:
        mapping = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(
            str(path),
            got=f"a file that cannot be read ({error})",
            wanted="JSON with the lists train, validation, test and test_repeated",
            do="Check split.file.",
        ) from None
    names = ("train", "validation", "test", "test_repeated")
    if not isinstance(mapping, dict) or set(mapping) - set(names):
        extra = sorted(set(mapping) - set(names)) if isinstance(mapping, dict) else "no mapping"
        raise InputError(
            str(path),
            got=f"{extra}",
            wanted=f"only the lists {', '.join(names)}",
            do="Remove or rename the others.",
        )
    return settings_from_mapping(SplitConfig, mapping, where=str(path))


def _restrict(whole: AnySplit, subject: str, stories: Sequence[str]) -> AnySplit:
    if isinstance(whole, WithinStorySplit):
        return whole
    sides = [
        tuple(story for story in side if story in stories)
        for side in (whole.train, whole.validation, whole.test, whole.test_repeated)
    ]
    try:
        return Split(*sides)
    except InputError as error:
        raise InputError(
            f"split for subject {subject}",
            got=f"{error.got} among its {len(stories)} stories",
            wanted="a story on each side",
            do="Divide the stories otherwise or leave it out.",
        ) from None


def _check_reach(config: StudyConfig, whole: AnySplit) -> None:
    if not isinstance(whole, WithinStorySplit):
        return
    for name, arm in config.arms.items():
        reach = max(abs(delay) for delay in arm.design.delays)
        if reach > whole.gap:
            raise InputError(
                f"arms.{name}.design.delays",
                got=f"a delay of {reach} rows",
                wanted=f"at most the gap of {whole.gap} rows between two uses of one story",
                do="Use shorter delays or a wider split.gap.",
            )


def _most_rows(dataset: Dataset, splits: Mapping[str, AnySplit]) -> dict[str, int]:
    rows: dict[str, int] = {}
    for subject, split in splits.items():
        for story in split.stories:
            rows[story] = max(rows.get(story, 0), dataset.n_rows(subject, story))
    return dict(sorted(rows.items()))


def _check_references(config: StudyConfig, groups: Mapping[str, tuple[StoryGroup, ...]]) -> None:
    names = {group.name for subject in groups.values() for group in subject}
    for arm, entry in config.arms.items():
        for group in entry.reference:
            if group not in names:
                raise unknown_name(f"arms.{arm}.reference", "story group", group, names)


def _missing_story_notes(whole: AnySplit, splits: Mapping[str, AnySplit]) -> tuple[Finding, ...]:
    notes = []
    for subject, split in splits.items():
        missing = [story for story in whole.stories if story not in split.stories]
        if missing:
            notes.append(
                Finding(
                    "warn",
                    subject,
                    f"has no responses to {len(missing)} stories of the division "
                    f"({', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}); "
                    "its scores come from the others.",
                )
            )
    return tuple(notes)
