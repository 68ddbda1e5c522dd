"""Which stories (or rows of one story) train, choose and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from brainaligner.core._errors import InputError, unknown_name

SIDES = ("train", "validation", "test", "test_repeated")


@dataclass(frozen=True)
class Piece:
    """A run of rows of one story: ``start`` to ``stop`` (exclusive; None: to the end)."""

    story: str
    start: int = 0
    stop: int | None = None

    @property
    def rows(self) -> slice:
        """The rows as a slice."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class Fold:
    """One fit: the pieces that train, that choose settings, and that are only scored."""

    train: tuple[Piece, ...]
    validation: tuple[Piece, ...]
    test: tuple[Piece, ...]


@dataclass(frozen=True)
class Split:
    """A division of stories. It cannot exist with a story on two sides.

    Parameters
    ----------
    train, validation : tuple of str
        Stories that fit weights, and stories that choose settings.
    test : tuple of str
        Single-presentation stories that are only scored.
    test_repeated : tuple of str
        Stories whose responses average several presentations; scored apart from `test`.

    Raises
    ------
    InputError
        If a story stands twice, or training, validation or all test stories are missing.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    test_repeated: tuple[str, ...] = ()

    label = "held-out stories"

    def __post_init__(self) -> None:
        for side in SIDES:
            object.__setattr__(self, side, _names(side, getattr(self, side)))
        counts = Counter(self.stories)
        twice = sorted(story for story, n in counts.items() if n > 1)
        if twice:
            sides = [side for side in SIDES if twice[0] in getattr(self, side)]
            raise InputError(
                "split",
                got=f"story {twice[0]!r} twice (in {' and '.join(sides)})",
                wanted="each story on one side only",
                do="Remove it from all sides but one.",
            )
        tested = self.test + self.test_repeated
        for side, names in (
            ("train", self.train),
            ("validation", self.validation),
            ("test", tested),
        ):
            if not names:
                raise InputError(
                    "split",
                    got=f"no {side} story",
                    wanted="at least one on each side",
                    do=f"Name at least one story under {side!r}.",
                )

    @property
    def stories(self) -> tuple[str, ...]:
        """All stories, side by side, in the order of the sides."""
        return self.train + self.validation + self.test + self.test_repeated

    @property
    def folds(self) -> tuple[Fold, ...]:
        """The one fit that this division asks for."""
        train, validation, test = (
            tuple(Piece(story) for story in names)
            for names in (self.train, self.validation, self.test + self.test_repeated)
        )
        return (Fold(train, validation, test),)

    def check_against(self, known: Iterable[str], *, where: str = "split") -> None:
        """Refuse a story that the dataset does not have, with the nearest name."""
        known = tuple(known)
        for story in self.stories:
            if story not in known:
                raise unknown_name(where, "story", story, known)


@dataclass(frozen=True)
class ValidationSplit(Split):
    """A division that scores its validation stories: what ideas are compared on.

    Test stories are not part of it. ``test`` holds the stories that choose settings and are
    scored, so that no score is one of a held-out story; `label` goes with every result.

    Parameters
    ----------
    train : tuple of str
    validation : tuple of str
        Empty: no story is only chosen on.
    test : tuple of str
        Validation stories of the division that this one stands for.
    test_repeated : tuple of str
        Empty.

    Raises
    ------
    InputError
        If a story stands twice, or any stands on an empty side.
    """

    label = "validation stories, also chosen on"

    def __post_init__(self) -> None:
        for side in SIDES:
            object.__setattr__(self, side, _names(side, getattr(self, side)))
        if self.validation or self.test_repeated or not self.train or not self.test:
            raise InputError(
                "split of validation stories",
                got=", ".join(f"{len(getattr(self, side))} {side}" for side in SIDES),
                wanted="stories that train and stories that are scored, nothing else",
                do="Make it of a division with ValidationSplit.of.",
            )
        twice = sorted(set(self.train) & set(self.test))
        if twice:
            raise InputError(
                "split of validation stories",
                got=f"story {twice[0]!r} twice",
                wanted="each story on one side only",
                do="Remove it from one side.",
            )

    @classmethod
    def of(cls, split: Split) -> ValidationSplit:
        """Return the division that scores the validation stories of `split`."""
        return cls(split.train, (), split.validation)

    @property
    def folds(self) -> tuple[Fold, ...]:
        """The one fit: the stories that choose settings are those that are scored."""
        train, scored = (
            tuple(Piece(story) for story in names) for names in (self.train, self.test)
        )
        return (Fold(train, scored, scored),)


@dataclass(frozen=True)
class WithinStorySplit:
    """Contiguous folds of one story, with rows left out where two sides meet.

    Nothing scored this way is a held-out story: `label` goes with every result.
    Fold ``k`` tests the k-th part, chooses settings on the next part (cyclically) and
    trains on the others; `gap` rows are dropped at every border between two roles, half of
    them on each side.

    Parameters
    ----------
    story : str
    n_rows : int
        Rows of the story.
    n_folds : int
        Number of contiguous parts, at least 3.
    gap : int
        Rows between two roles.

    Raises
    ------
    InputError
        If a part would be left with fewer than two rows.
    """

    story: str
    n_rows: int
    n_folds: int = 5
    gap: int = 10

    label = "within one story"

    def __post_init__(self) -> None:
        shortest = self.n_rows // max(self.n_folds, 1) - 2 * self.gap
        if self.n_folds < 3 or self.gap < 0 or shortest < 2:
            raise InputError(
                f"within-story split of {self.story!r}",
                got=f"{self.n_rows} rows, {self.n_folds} folds, gap {self.gap}",
                wanted="at least 3 folds, each with two rows or more between its gaps",
                do="Use fewer folds or a smaller gap.",
            )

    @property
    def stories(self) -> tuple[str, ...]:
        """The one story."""
        return (self.story,)

    @property
    def folds(self) -> tuple[Fold, ...]:
        """One fit per part."""
        edges = np.linspace(0, self.n_rows, self.n_folds + 1).round().astype(int).tolist()
        return tuple(self._fold(k, edges) for k in range(self.n_folds))

    def _fold(self, k: int, edges: Sequence[int]) -> Fold:
        validation = (k + 1) % self.n_folds
        roles = ["train"] * self.n_folds
        roles[validation], roles[k] = "validation", "test"
        pieces: dict[str, list[Piece]] = {"train": [], "validation": [], "test": []}
        for i, role in enumerate(roles):
            before = i > 0 and roles[i - 1] != role
            after = i + 1 < self.n_folds and roles[i + 1] != role
            start = edges[i] + (self.gap - self.gap // 2 if before else 0)
            stop = edges[i + 1] - (self.gap // 2 if after else 0)
            pieces[role].append(Piece(self.story, start, stop))
        return Fold(*(tuple(pieces[role]) for role in ("train", "validation", "test")))


def _names(side: str, given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise InputError(
            f"split, {side}",
            got=f"the text {given!r}",
            wanted="a list of story names",
            do=f"Write [{given}].",
        )
    return tuple(given)


def draw_split(
    stories: Sequence[str],
    counts: tuple[int, int, int],
    *,
    seed: int = 0,
    repeated: Sequence[str] = (),
) -> Split:
    """Divide stories at random in the proportions of `counts`.

    Parameters
    ----------
    stories : sequence of str
        All stories that may be used.
    counts : (train, validation, test)
        Numbers of stories; where they do not add up to the stories there are, they are
        taken as proportions, and validation and test keep at least one story each.
    seed : int
        Stories are sorted, then permuted by ``numpy.random.default_rng(seed)``.
    repeated : sequence of str
        Stories that average several presentations: never divided, always `test_repeated`.

    Returns
    -------
    Split
    """
    _check_draw(stories, counts, seed)
    pool = sorted(set(stories) - set(repeated))
    if min(counts) < 1 or len(pool) < 3:
        raise InputError(
            "split counts",
            got=f"{counts} for {len(pool)} single-presentation stories",
            wanted="three positive counts and at least three stories",
            do="Give counts such as [60, 8, 16].",
        )
    order = np.random.default_rng(seed).permutation(len(pool))
    shuffled = [pool[i] for i in order]
    share = len(pool) / sum(counts)
    n_validation = max(1, round(counts[1] * share))
    n_test = max(1, round(counts[2] * share))
    n_train = len(pool) - n_validation - n_test
    return Split(
        train=tuple(sorted(shuffled[:n_train])),
        validation=tuple(sorted(shuffled[n_train : n_train + n_validation])),
        test=tuple(sorted(shuffled[n_train + n_validation :])),
        test_repeated=tuple(sorted(set(repeated) & set(stories))),
    )


def _check_draw(stories: object, counts: Sequence[object], seed: object) -> None:
    """Refuse what is no list of names, no three whole counts, or no seed."""
    counted = isinstance(counts, Sequence) and len(counts) == 3
    faults = {
        "stories": (
            not isinstance(stories, str) and isinstance(stories, Iterable),
            stories,
            "a sequence of story names",
        ),
        "counts": (
            counted and all(isinstance(n, int | np.integer) for n in counts),
            counts,
            "three whole numbers: of training, validation and test stories",
        ),
        "seed": (
            isinstance(seed, int | np.integer) and seed >= 0,
            seed,
            "a whole number of 0 or more",
        ),
    }
    for name, (is_right, value, wanted) in faults.items():
        if not is_right:
            raise InputError(
                f"draw_split: {name}", got=repr(value)[:80], wanted=wanted, do="Correct it."
            )
