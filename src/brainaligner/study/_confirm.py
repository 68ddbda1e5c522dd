"""A last run of one configuration, on stories that nobody has scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from brainaligner.core import InputError, Split
from brainaligner.evaluation import Opening, opened_stories
from brainaligner.study._config import StudyConfig
from brainaligner.study._confirm_digest import plan_digest
from brainaligner.study._dataset_config import SplitConfig
from brainaligner.study._division import whole_split
from brainaligner.study._ledger import Ledger
from brainaligner.study._ledger_faults import scored_contents
from brainaligner.study._prepare import Prepared
from brainaligner.study._store import Store


def confirmation(prepared: Prepared, store: Store) -> StudyConfig:
    """Put a study on test stories that no study of this store was ever scored on.

    Nor may any run have scored them as validation stories. Test and validation stories are as
    many as before, drawn by the next seed from what is left; all others train. Repeated stories,
    which are few and were seen, are left out. A study is confirmed once: where that has begun,
    the same division is given again, whatever was changed in how scores are judged, which
    controls and nulls stand beside the arms, what parts are called, and where the data lie.

    Parameters
    ----------
    prepared : Prepared
        The study to confirm, on its data.
    store : Store

    Returns
    -------
    StudyConfig
        Named ``<name>-confirm``.

    Raises
    ------
    InputError
        If too few stories are left, or the dataset has only one.
    """
    config = prepared.config
    openings = Ledger(store.folder).openings()
    stories = {s: prepared.dataset.stories(s) for s in prepared.division.splits}
    whole = whole_split(config.split, prepared.dataset, stories)
    if not isinstance(whole, Split):
        raise InputError(
            f"study {config.name!r}, --confirm",
            got="a dataset of one story",
            wanted="stories that nobody has scored",
            do="Confirm on other data.",
        )
    sides = _begun(prepared, openings) or _drawn(prepared, whole, openings, scored_contents(store))
    train, validation, test = sides
    return replace(
        config,
        name=f"{config.name}-confirm",
        title=f"{config.title or config.name}, confirmed on stories that were never scored",
        split=SplitConfig(train=train, validation=validation, test=test),
        arms={name: replace(arm, reference={}) for name, arm in config.arms.items()},
        confirms=config.name,
    )


def _begun(prepared: Prepared, openings: Sequence[Opening]) -> tuple[tuple[str, ...], ...] | None:
    """Sides of a confirmation of the same arms on the same responses, wherever these lie."""
    plan = plan_digest(prepared.config)
    heard = {digest for digests in prepared.digests.values() for digest in digests.values()}
    of_plan = (one for one in openings if one.plan == plan and one.stories & heard)
    return next((one.confirms for one in of_plan if one.confirms), None)


def _drawn(
    prepared: Prepared, whole: Split, openings: Sequence[Opening], scored: frozenset[str]
) -> tuple[tuple[str, ...], ...]:
    singles = sorted({*whole.train, *whole.validation, *whole.test})
    opened = opened_stories(openings) | scored
    left = [story for story in singles if not opened & _digests(prepared, story)]
    n_test, n_validation = len(whole.test), len(whole.validation)
    if len(left) < n_test:
        raise InputError(
            f"study {prepared.config.name!r}, --confirm",
            got=f"{len(left)} of {len(singles)} stories that were never scored",
            wanted=f"{n_test}, as many as the study tests",
            do="Confirm on other data, or with a study that tests fewer stories.",
        )
    rng = np.random.default_rng(prepared.config.split.seed + 1)
    test = {left[i] for i in rng.permutation(len(left))[:n_test]}
    rest = [story for story in singles if story not in test]
    validation = {rest[i] for i in rng.permutation(len(rest))[:n_validation]}
    train = (story for story in rest if story not in validation)
    return tuple(train), tuple(sorted(validation)), tuple(sorted(test))


def _digests(prepared: Prepared, story: str) -> set[str]:
    """Content of a story: its words, and the responses of everyone who heard it."""
    heard = {digests[story] for digests in prepared.digests.values() if story in digests}
    return heard | {prepared.division.stimuli.transcripts[story].digest()}
