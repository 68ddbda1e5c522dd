"""What cannot be done with a study's arms and its division of stories is refused here."""

from __future__ import annotations

from collections.abc import Mapping

from brainaligner.core import InputError, StoryGroup, WithinStorySplit, unknown_name
from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._config import StudyConfig
from brainaligner.study._division import AnySplit, Listing

FEWEST_ROWS = 3


def check_reach(name: str, arm: ArmConfig, whole: AnySplit) -> None:
    if not isinstance(whole, WithinStorySplit):
        return
    reach = max(abs(delay) for delay in arm.design.delays)
    if reach > whole.gap:
        raise InputError(
            f"arms.{name}.design.delays",
            got=f"a delay of {reach} rows",
            wanted=f"at most the gap of {whole.gap} rows between two uses of one story",
            do="Use shorter delays or a wider split.gap.",
        )


def check_clock(name: str, arm: ArmConfig, config: StudyConfig) -> None:
    """One arm has one clock: Z, delays and the lag curve count rows by it."""
    clocks = {feature: config.features[feature].text.clock for feature in arm.features}
    if len(set(clocks.values())) > 1:
        raise InputError(
            f"arms.{name}.features",
            got=", ".join(f"{feature} ({clock})" for feature, clock in clocks.items()),
            wanted="features of one clock",
            do="Set text.clock alike; a delay more stands for the previous row.",
        )


def check_selection(name: str, arm: ArmConfig, splits: Mapping[str, AnySplit]) -> None:
    settings = arm.banded or arm.ridge
    chooses = arm.banded is not None or len(arm.ridge.alphas) > 1
    if settings.selection != "leave_story_out" or not chooses:
        return
    for subject, split in splits.items():
        fewest = min(len(fold.train) for fold in split.folds)
        if fewest < 2:
            raise InputError(
                f"arms.{name}, selection",
                got=f"leave_story_out with {fewest} training story of subject {subject}",
                wanted="two or more",
                do="Add a training story, or choose on validation stories.",
            )


def check_references(
    name: str,
    arm: ArmConfig,
    groups: Mapping[str, tuple[StoryGroup, ...]],
    subjects: tuple[str, ...],
) -> None:
    known = {group.name for subject in groups.values() for group in subject}
    for group, by_subject in arm.reference.items():
        if group not in known:
            raise unknown_name(f"arms.{name}.reference", "story group", group, known)
        for subject in by_subject:
            if subject not in subjects:
                raise unknown_name(f"arms.{name}.reference.{group}", "subject", subject, subjects)


def check_groups(subject: str, groups: tuple[StoryGroup, ...]) -> None:
    names = [group.name for group in groups]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"test stories of {subject}",
                got=f"a repeated story called {name!r}",
                wanted="another name: the single-presentation test stories are called so",
                do="Rename the story in words and responses.",
            )


def check_scored_rows(config: StudyConfig, listing: Listing, subject: str, split: AnySplit) -> None:
    cut = max(config.evaluation.cuts)
    scored: dict[str, int] = {}
    for piece in (piece for fold in split.folds for piece in fold.test):
        rows = range(listing.n_rows(subject, piece.story))[piece.rows]
        scored[piece.story] = scored.get(piece.story, 0) + len(rows)
    for story, n_scored in scored.items():
        if n_scored < 2 * cut + FEWEST_ROWS:
            raise InputError(
                f"test story {story!r} of {subject}",
                got=f"{n_scored} rows",
                wanted=f"at least {2 * cut + FEWEST_ROWS}, for evaluation.cuts drops {cut} "
                "at each end",
                do="Cut fewer rows, or leave the story out of the test stories.",
            )
