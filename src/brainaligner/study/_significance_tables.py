"""Significant targets as lines for programs, as a table for the page, and as a file of p."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brainaligner.evaluation import (
    Discoveries,
    SignificanceSettings,
    count_discoveries,
    fewest_at_the_floor,
)
from brainaligner.report import Column, Table, exact_cells, span, tsv_text
from brainaligner.study._disk import npz_writer
from brainaligner.study._scoring import base_name
from brainaligner.study._significance import ArmSignificance, counted_bases

SIGNIFICANCE, P_VALUES = "significance.tsv", "significance.npz"
SUBJECTS_BESIDE = 3
EVERY = "all targets"
_COLUMNS = ("significant", "over Z alone", "under it")
Found = Sequence[ArmSignificance]


@dataclass(frozen=True)
class SignificanceLine:
    """Counts of one arm in one subject on one group of stories.

    Parameters
    ----------
    arm, subject, group, presentations : str
    rows_cut : int
        Rows dropped at each end of each story.
    over : str
        The family of tests: all targets, or those that the arm's encoder selected.
    permutations : int
    q : float
    n_tested : int
    significant_bh, significant_by : int
    gain_over : str, optional
        Arm of the nuisance block alone; None where it was not scored there.
    better_bh, better_by, worse_bh, worse_by : int, optional
    recipe : str
        Key of the stage's artifact.
    """

    arm: str
    subject: str
    group: str
    presentations: str
    rows_cut: int
    over: str
    permutations: int
    q: float
    n_tested: int
    significant_bh: int
    significant_by: int
    gain_over: str | None
    better_bh: int | None
    better_by: int | None
    worse_bh: int | None
    worse_by: int | None
    recipe: str


@dataclass(frozen=True)
class Counted:
    """Counts of all arms, for people and for programs.

    Parameters
    ----------
    lines : tuple of SignificanceLine
    targets : str
        What the targets are called, such as ``"voxels"``.
    """

    lines: tuple[SignificanceLine, ...]
    targets: str

    @classmethod
    def of(cls, found: Found, *, targets: str) -> Counted:
        """Count what was found."""
        return cls(significance_lines(found), targets)

    @property
    def records(self) -> list[dict[str, Any]]:
        """For run.json."""
        return [asdict(line) for line in self.lines]

    @property
    def tsv(self) -> str:
        """For a tab-separated file; nothing where nothing was tested."""
        return tsv_text([exact_cells(cells) for cells in self.records])

    @property
    def tables(self) -> tuple[tuple[str, Table], ...]:
        """For the page."""
        return significance_tables(self.lines, targets=self.targets)


def significance_lines(found: Found) -> tuple[SignificanceLine, ...]:
    """Counts of all arms; an arm whose encoder selected targets has a second line over those."""
    return tuple(
        line
        for one in found
        for group, cut in counted_bases(one)
        for line in _lines(one, group.name, group.presentations, cut)
    )


def _lines(
    found: ArmSignificance, group: str, presentations: str, cut: int
) -> Iterator[SignificanceLine]:
    task, settings = found.task, found.task.settings
    p, gain = found.of(group, cut).p, found.gain(group, cut)
    families: dict[str, Any] = {EVERY: slice(None)}
    if found.selected is not None:
        families[f"the {len(found.selected)} targets of its encoder"] = found.selected
    for over, targets in families.items():
        counts = count_discoveries(p[targets], q=settings.q)
        signed: dict[str, int | None] = dict.fromkeys(
            ("better_bh", "better_by", "worse_bh", "worse_by")
        )
        if gain is not None:
            signed = _signed(gain.difference[targets], gain.p[targets], settings.q)
        yield SignificanceLine(
            task.run.name,
            task.subject,
            group,
            presentations,
            cut,
            over,
            settings.permutations,
            settings.q,
            counts.n_tested,
            counts.bh,
            counts.by,
            None if gain is None or task.reference is None else task.reference.name,
            **signed,
            recipe=task.recipe.key,
        )


def _signed(difference: np.ndarray, p: np.ndarray, q: float) -> dict[str, int | None]:
    """Targets with a significant difference, by its sign; both signs are one family."""
    from brainaligner.evaluation import fdr_bh, fdr_by

    found: dict[str, int | None] = {}
    for method, adjusted in (("bh", fdr_bh(p)), ("by", fdr_by(p))):
        found[f"better_{method}"] = int(np.count_nonzero((adjusted <= q) & (difference > 0)))
        found[f"worse_{method}"] = int(np.count_nonzero((adjusted <= q) & (difference < 0)))
    return found


def save_significances(path: Path, found: Found) -> None:
    """Write r, p and block of each target, and its gain, by arm, subject, group and cut."""
    with npz_writer(path) as add:
        for one in found:
            for group, cut in counted_bases(one):
                place = f"{one.task.run.name}/{one.task.subject}/{base_name(group.name, cut)}"
                tested, gain = one.of(group.name, cut), one.gain(group.name, cut)
                add(f"{place}/p", tested.p)
                add(f"{place}/block_rows", tested.block_rows)
                if gain is not None:
                    add(f"{place}/gain", gain.difference)
                    add(f"{place}/gain_p", gain.p)


def significance_tables(
    lines: Sequence[SignificanceLine], *, targets: str
) -> tuple[tuple[str, Table], ...]:
    """One table for each cut: arms and groups of stories in rows, subjects beside each other.

    Parameters
    ----------
    lines : sequence of SignificanceLine
    targets : str
        What the targets are called, such as ``"voxels"``.
    """
    cuts = sorted({line.rows_cut for line in lines})
    return tuple(
        (
            f"significant {targets}, {cut} rows cut",
            _table([line for line in lines if line.rows_cut == cut], targets),
        )
        for cut in cuts
    )


def _table(lines: Sequence[SignificanceLine], targets: str) -> Table:
    subjects = list(dict.fromkeys(line.subject for line in lines))
    beside = len(subjects) <= SUBJECTS_BESIDE
    over = subjects if beside else [targets]
    columns = (
        Column("arm" if beside else "arm, subject"),
        Column("stories"),
        *(Column(name, _heading(lines, one, beside)) for one in over for name in _COLUMNS),
    )
    single_first = sorted(lines, key=lambda line: line.presentations != "single")
    groups = list(dict.fromkeys(map(_group, single_first)))
    by_row: dict[tuple[str, str], dict[str, SignificanceLine]] = {}
    for line in sorted(lines, key=lambda line: groups.index(_group(line))):
        row = by_row.setdefault((_label(line, beside), _group(line)), {})
        row[line.subject if beside else targets] = line
    rows = tuple(
        (*labels, *(cell for subject in over for cell in _cells(row.get(subject))))
        for labels, row in by_row.items()
    )
    cut = lines[0].rows_cut
    title = f"Significant {targets} of each arm, {cut} rows cut at each end of each story"
    return Table(title, columns, rows, _notes(lines, targets))


def _heading(lines: Sequence[SignificanceLine], over: str, beside: bool) -> str:
    """A subject, or what the targets are called, with how many were tested."""
    own = [line for line in lines if line.over == EVERY and (line.subject == over or not beside)]
    counts = sorted({line.n_tested for line in own})
    return f"{over}, of {span(counts)}"


def _label(line: SignificanceLine, beside: bool) -> str:
    name = line.arm if beside else f"{line.arm}, {line.subject}"
    return name if line.over == EVERY else f"{name}, over its encoder's targets"


def _group(line: SignificanceLine) -> str:
    kind = "heard once" if line.presentations == "single" else "averaged over repeats"
    return f"{line.group} ({kind})"


def _cells(line: SignificanceLine | None) -> tuple[str, str, str]:
    if line is None or not line.n_tested:
        return "n/a", "n/a", "n/a"
    significant = f"{line.significant_bh} ({line.significant_by})"
    if line.over != EVERY:
        significant += f" of {line.n_tested}"
    if line.better_bh is None:
        return significant, "n/a", "n/a"
    return (
        significant,
        f"{line.better_bh} ({line.better_by})",
        f"{line.worse_bh} ({line.worse_by})",
    )


def _notes(lines: Sequence[SignificanceLine], targets: str) -> tuple[tuple[str, str], ...]:
    first = lines[0]
    settings = SignificanceSettings(first.permutations, first.q)
    most = max(line.n_tested for line in lines)
    fewest = fewest_at_the_floor(most, settings=settings)
    notes = [
        (
            "Significant",
            f"block permutation of the prediction within each story, {first.permutations} "
            f"permutations, p = (b + 1) / (m + 1), one-sided; false discoveries at most "
            f"{first.q:g} by Benjamini-Hochberg, in brackets by Benjamini-Yekutieli",
        ),
        (
            "Over",
            f"the {targets} among which false discoveries are counted: all that are scored, "
            "whatever their r; where an arm's brain encoder selected some (on training stories), "
            "also over these, in any fold",
        ),
        (
            "What a p is about",
            "the whole prediction: in an arm with the nuisance block Z, about Z too; and a "
            "prediction that knows no more than where the story begins follows the responses to "
            "any story. What the words add is beside it",
        ),
        (
            "Over Z alone, under it",
            "targets that are better and worse: paired test of each target's r against "
            f"{_references(lines)}, two-sided, by its spread between stories (between blocks of "
            "rows where stories are fewer than 8), at the same rate of false discoveries",
        ),
        ("Smallest p", _floor_words(fewest, settings)),
    ]
    return tuple(notes)


def _references(lines: Sequence[SignificanceLine]) -> str:
    names = list(dict.fromkeys(line.gain_over for line in lines if line.gain_over))
    return ", ".join(names) or "an arm of Z alone (the study has none)"


def _floor_words(fewest: Discoveries, settings: SignificanceSettings) -> str:
    words = (
        f"1 / {settings.permutations + 1}; {fewest.bh:,} of {fewest.n_tested:,} targets have to "
        f"share it before any is significant, {fewest.by:,} by Benjamini-Yekutieli"
    )
    if max(fewest.bh, fewest.by) > fewest.n_tested:
        words += ": more permutations (significance.permutations) could find more"
    return words
