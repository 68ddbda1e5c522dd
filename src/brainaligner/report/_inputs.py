"""What a report is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from brainaligner.core import InputError, Scores, StoryGroup
from brainaligner.evaluation import CeilingSummary, Diagnostic, Finding, RegionScore, Summary
from brainaligner.report._figure_inputs import Curve, Difference, Flatmap
from brainaligner.report._trace import RecipeNote

NOT_VALID = "NOT VALID"
ABOUT_NEEDED = ("clock", "delays", "ridge")


@dataclass(frozen=True, eq=False)
class Result:
    """One arm's scores in one subject on one group of stories, with what they amount to.

    Parameters
    ----------
    scores : Scores
    summary : Summary
        Of exactly these scores.
    alpha : str
        The ridge penalty in words, such as ``"1e+05 (shared)"``; the penalty is
        ``alpha ||W||^2``.
    reference : float, optional
        A known mean r to stand beside this one.
    regions : tuple of RegionScore
        What regions of interest score, each once.
    ceiling : CeilingSummary, optional
        How near these scores come to the noise ceiling; of repeated stories alone.
    keys : mapping of str to str
        Of the artifacts that hold these numbers: ``scores``, ``regions``, ``ceilings``.

    Raises
    ------
    InputError
        If summary or ceiling are of other scores, or a region stands twice.
    """

    scores: Scores
    summary: Summary
    alpha: str
    reference: float | None = None
    regions: tuple[RegionScore, ...] = ()
    ceiling: CeilingSummary | None = None
    keys: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scores, summary = self.scores, self.summary
        of_scores = (*_place(self), scores.n_rows, scores.space.size)
        of_summary = (
            *(summary.arm, summary.subject, summary.group, summary.rows_cut),
            *(summary.n_rows, summary.n_targets),
        )
        if of_scores != of_summary:
            raise InputError(
                f"result of {scores.arm} in {scores.subject}",
                got=f"a summary of {of_summary}",
                wanted=f"one of {of_scores}",
                do="Pass scores and summary as `score_group` returned them.",
            )
        _refuse_strange_ceiling(self)
        names = [one.region for one in self.regions]
        if len(set(names)) < len(names):
            raise InputError(
                f"regions of {scores.arm} in {scores.subject}",
                got=", ".join(names),
                wanted="each region once",
                do="Leave one out.",
            )


@dataclass(frozen=True, eq=False)
class RunReport:
    """All that one report shows, in the order in which results were handed in.

    Parameters
    ----------
    title : str
    study : str
        Name of the study.
    about : tuple of (name, text)
        What was run and on what. The entries of `ABOUT_NEEDED` must be among them, for a
        number without them is not a result.
    simulated : bool
        Whether any of the data are simulated.
    label : str
        ``"held-out stories"`` or ``"within one story"``: that of all the scores.
    results : tuple of Result
        At most one for each arm, subject, group and number of rows cut.
    findings : tuple of Finding
    settings_text : str
        The study file.
    recipes : tuple of (name, key)
        What each number was computed from.
    diagnostics : tuple of Diagnostic
        The standard checks, in the order in which they are shown.
    audit : str
        The audit's verdict in a line; one that begins with `NOT_VALID` is put before everything.
    listeners : tuple of Result
        What the other listeners' responses predict: a reference beside each table, no arm.
    methods : tuple of (heading, text)
        The methods in words, and `references`, a tuple of str, that they cite.
    chain : tuple of RecipeNote
        Recipes of the artifacts that results name and of all that they follow from.
    differences : tuple of Difference
        Arms less one reference arm, on the group and cut that figures show.
    curves : tuple of Curve
    flatmaps : mapping of subject to Flatmap
        Of subjects without one, maps are drawn on fsaverage5.

    Raises
    ------
    InputError
        If there is no result, one stands twice, a label differs, a group's name stands for
        two kinds of story, `about` lacks an entry, or a flatmap is of other targets.
    """

    title: str
    study: str
    about: tuple[tuple[str, str], ...]
    simulated: bool
    label: str
    results: tuple[Result, ...]
    findings: tuple[Finding, ...] = ()
    settings_text: str = ""
    recipes: tuple[tuple[str, str], ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    audit: str = ""
    listeners: tuple[Result, ...] = ()
    methods: tuple[tuple[str, str], ...] = ()
    references: tuple[str, ...] = ()
    chain: tuple[RecipeNote, ...] = ()
    differences: tuple[Difference, ...] = ()
    curves: tuple[Curve, ...] = ()
    flatmaps: Mapping[str, Flatmap] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _refuse_missing_facts(self.about)
        if not self.results:
            raise InputError(
                "report", got="no result", wanted="at least one", do="Score an arm first."
            )
        _refuse_strange_labels(self.results, self.label)
        _refuse_repeated_results(self.results)
        _refuse_ambiguous_groups(self.results)
        _refuse_strange_flatmaps(self.results, self.flatmaps)

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms in the order of their first result."""
        return _in_order(result.scores.arm for result in self.results)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects in the order of their first result."""
        return _in_order(result.scores.subject for result in self.results)

    @property
    def groups(self) -> tuple[StoryGroup, ...]:
        """One group for each name: single presentations first, then repeated ones."""
        by_name = {result.scores.group.name: result.scores.group for result in self.results}
        return tuple(sorted(by_name.values(), key=lambda group: group.presentations != "single"))

    @property
    def cuts(self) -> tuple[int, ...]:
        """Numbers of rows cut, ascending."""
        return tuple(sorted({result.scores.rows_cut for result in self.results}))

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions of interest in the order of their first result."""
        return _in_order(one.region for result in self.results for one in result.regions)

    @property
    def compared(self) -> tuple[Difference, ...]:
        """Differences of arms and subjects that have results."""
        arms, subjects = self.arms, self.subjects
        return tuple(d for d in self.differences if d.arm in arms and d.subject in subjects)

    @property
    def targets(self) -> str:
        """What the targets are called: ``"voxels"``, ``"components"``, ...

        Results of several kinds together are called ``"targets"``.
        """
        kinds = {result.scores.space.kind for result in self.results}
        return kinds.pop() if len(kinds) == 1 else "targets"

    def fact(self, name: str) -> str:
        """Text of the entry `name` of `about`."""
        return dict(self.about)[name]

    def find(self, arm: str, subject: str, group: str, cut: int) -> Result | None:
        """Return the result of one cell, or None where there is none."""
        return next((r for r in self.results if _place(r) == (arm, subject, group, cut)), None)


def _refuse_strange_ceiling(result: Result) -> None:
    scores, ceiling = result.scores, result.ceiling
    if ceiling is None:
        return
    of_scores = (scores.group.presentations, scores.n_rows, scores.space.size)
    of_ceiling = ("repeated", ceiling.n_rows, ceiling.n_targets)
    if of_scores != of_ceiling:
        raise InputError(
            f"ceiling of {scores.arm} in {scores.subject}",
            got="scores of {} presentations, {} rows, {} targets".format(*of_scores),
            wanted="{} presentations, {} rows, {} targets".format(*of_ceiling),
            do="Pass the ceiling as `ceiling_summary` returned it for these scores.",
        )


def _place(result: Result) -> tuple[str, str, str, int]:
    scores = result.scores
    return scores.arm, scores.subject, scores.group.name, scores.rows_cut


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _refuse_missing_facts(about: tuple[tuple[str, str], ...]) -> None:
    lacking = [name for name in ABOUT_NEEDED if name not in dict(about)]
    if lacking:
        raise InputError(
            "report, about",
            got=f"no entry for {', '.join(lacking)}",
            wanted=f"entries for {', '.join(ABOUT_NEEDED)}",
            do="Say them: a correlation without them cannot be compared with any other.",
        )


def _refuse_strange_labels(results: tuple[Result, ...], label: str) -> None:
    for result in results:
        if result.scores.label != label:
            raise InputError(
                f"report, {result.scores.arm} in {result.scores.subject}",
                got=f"scores labelled {result.scores.label!r}",
                wanted=f"the report's label, {label!r}",
                do="Report held-out stories and parts of one story on two pages.",
            )


def _refuse_repeated_results(results: tuple[Result, ...]) -> None:
    seen: set[tuple[str, str, str, int]] = set()
    for result in results:
        place = _place(result)
        if place in seen:
            raise InputError(
                "report, results",
                got="two results for arm {!r}, subject {!r}, group {!r}, {} rows cut".format(
                    *place
                ),
                wanted="one",
                do="Leave one out.",
            )
        seen.add(place)


def _refuse_ambiguous_groups(results: tuple[Result, ...]) -> None:
    kinds: dict[str, str] = {}
    for result in results:
        group = result.scores.group
        if kinds.setdefault(group.name, group.presentations) != group.presentations:
            raise InputError(
                f"report, group {group.name!r}",
                got="single and repeated presentations under one name",
                wanted="one kind of presentation for each name",
                do="Name the groups apart: their scores must never be averaged.",
            )


def _refuse_strange_flatmaps(results: tuple[Result, ...], flatmaps: Mapping[str, Flatmap]) -> None:
    for result in results:
        subject, size = result.scores.subject, result.scores.space.size
        if subject in flatmaps and flatmaps[subject].pixels.n_targets != size:
            raise InputError(
                f"flatmap of {subject}",
                got=f"{flatmaps[subject].pixels.n_targets} targets",
                wanted=f"{size}, as the scores of {result.scores.arm}",
                do="Leave it out, or lay it out for these targets.",
            )
