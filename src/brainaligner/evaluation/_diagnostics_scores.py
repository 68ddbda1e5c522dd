"""Diagnostics of finished scores: numbers 3, 6, 7, 9, 11 and 14."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist

from brainaligner.core import StoryGroup
from brainaligner.evaluation._ceilings import CeilingSummary
from brainaligner.evaluation._diagnostic import Diagnostic, Verdict
from brainaligner.evaluation._diagnostic_names import made, signed
from brainaligner.evaluation._summary import Summary

# Bounds beyond which real cortex lies: its r is skewed, and people differ.
MEAN_MEDIAN_GAP = 0.03
LEAST_SKEW = 0.2
SUBJECT_GAP = 0.02
# Inner validation r above test r.
INNER_WARN, INNER_FAIL = 0.02, 0.05
ROWS_FOR_ONE = 3  # rows of BOLD that count as one, and targets that count at most
TARGETS_COUNTED = 10
# Share of r that has to be left without the first rows of each story.
KEPT = {10: 0.8, 50: 0.7}
LEAST_R = 0.01
_NO_R = "Nothing can be compared."
# CCnorm above 1 is more than any model can reach; estimates scatter a little.
CEILING_WARN, CEILING_FAIL = 1.0, 1.1


def control_diagnostic(
    where: str, r: Mapping[str, float], controls: Mapping[str, Mapping[str, float]]
) -> Diagnostic:
    """Number 3: what an arm has over Z alone and over an untrained network, in each subject.

    NOT RUN where a mean is not finite, unless another subject shows no gain.

    Parameters
    ----------
    where : str
        Arm and group.
    r : mapping of subject to float
        Mean r of the arm.
    controls : mapping of control to mapping of subject to float
        The same of each control arm.
    """
    gains = {
        control: {subject: r[subject] - values[subject] for subject in r if subject in values}
        for control, values in controls.items()
    }
    if not any(gains.values()):
        advice = "Score Z alone and an untrained network beside it (controls in the study file)."
        return made(3, where, "NOT RUN", "no control arm", advice)
    figure = "; ".join(
        f"over {control} {' / '.join(signed(gain) for gain in by_subject.values())}"
        for control, by_subject in gains.items()
    )
    every = [gain for by_subject in gains.values() for gain in by_subject.values()]
    if any(gain <= 0 for gain in every):
        advice = "A model without meaning scores as much: do not read this arm as language."
        return made(3, where, "WARN", f"{figure} (bound 0)", advice)
    if not all(map(math.isfinite, every)):
        return made(3, where, "NOT RUN", f"{figure} (bound 0)", _NO_R)
    advice = "What it scores beyond these can come from the words' meaning."
    return made(3, where, "PASS", f"{figure} (bound 0)", advice)


def ceiling_diagnostic(where: str, ceiling: CeilingSummary | None) -> Diagnostic:
    """Number 6: CCnorm of a repeated story; more than 1 is more than the noise allows."""
    if ceiling is None or not math.isfinite(ceiling.cc_norm):
        advice = "The data hold no single presentations, so no ceiling can be measured."
        return made(6, where, "NOT RUN", "no noise ceiling", advice)
    figure = f"CCnorm {ceiling.cc_norm:.3f} (bounds {CEILING_WARN:g}, {CEILING_FAIL:g})"
    verdict = _above(ceiling.cc_norm, CEILING_WARN, CEILING_FAIL)
    advice = {
        "PASS": "r stays under what the noise of the responses allows.",
        "WARN": "r touches the noise ceiling: look for a story that was seen in training.",
        "FAIL": "r is above the noise ceiling: the story, or its brain, was seen in training.",
    }[verdict]
    return made(6, where, verdict, figure, advice)


def _above(value: float, warn: float, fail: float) -> Verdict:
    return "FAIL" if value > fail else "WARN" if value > warn else "PASS"


def shape_diagnostics(summaries: Sequence[Summary]) -> tuple[Diagnostic, ...]:
    """Number 7: subjects that are alike, each with a symmetric r; no real cortex looks so.

    WARN where ``|mean - median| / |mean|`` is under .03 and ``|skew|`` under .2 in every subject,
    and the means of all subjects lie within 2 % of each other. One for each arm, group and cut;
    NOT RUN with one subject, or where a mean is not finite.
    """
    alike: dict[tuple[str, str, int], list[Summary]] = {}
    for summary in summaries:
        alike.setdefault((summary.arm, summary.group, summary.rows_cut), []).append(summary)
    return tuple(_shape(place, members) for place, members in alike.items())


def _shape(place: tuple[str, str, int], members: Sequence[Summary]) -> Diagnostic:
    where = f"{place[0]}, {place[1]}, {place[2]} rows cut"
    means = [member.mean for member in members]
    total = abs(sum(means) / len(means))
    gap = (max(means) - min(means)) / total if total else math.inf
    figure = (
        f"mean less median {_relative_gaps(members)} of the mean (bound {MEAN_MEDIAN_GAP:.0%}), "
        f"subjects within {gap:.1%} (bound {SUBJECT_GAP:.0%})"
    )
    if len(members) < 2:
        advice = "One subject cannot be compared with others."
        return made(7, where, "NOT RUN", "one subject", advice)
    if not all(map(math.isfinite, means)):
        return made(7, where, "NOT RUN", figure, _NO_R)
    if all(_is_symmetric(member) for member in members) and gap < SUBJECT_GAP:
        advice = (
            "This looks like a shuffled split or a selected voxel set: real cortex has a skewed "
            "r, and people differ."
        )
        return made(7, where, "WARN", figure, advice)
    return made(7, where, "PASS", figure, "Subjects and r differ as real ones do.")


def _relative_gaps(members: Sequence[Summary]) -> str:
    gaps = [
        abs(m.mean - m.median) / abs(m.mean) if m.mean else math.inf
        for m in members[:6]  # the figure is one line
    ]
    return " / ".join(f"{gap:.0%}" if math.isfinite(gap) else "n/a" for gap in gaps)


def _is_symmetric(summary: Summary) -> bool:
    gap = abs(summary.mean - summary.median)
    return gap < MEAN_MEDIAN_GAP * abs(summary.mean) and abs(summary.skew) < LEAST_SKEW


def inner_diagnostic(where: str, inner: float, test: Summary, *, inner_rows: int) -> Diagnostic:
    """Number 9: mean r where alpha was chosen, less mean r on the test stories.

    WARN over .02, FAIL over .05 where the gap is also more than twice its standard error: few
    short stories differ by that much by chance, and without an error it is a WARN. The error
    is that of the test mean, from its interval, and of the inner one by its share of rows; and
    what chance gives two means over ten independent targets, three rows counted as one. A test
    r that lies as far above is a WARN too.

    Parameters
    ----------
    where : str
    inner : float
    test : Summary
        Of the single-presentation test stories.
    inner_rows : int
        Rows that `inner` stands on.
    """
    gap = inner - test.mean
    if not math.isfinite(inner):
        advice = "No r was measured where alpha was chosen, as only one was given."
        return made(9, where, "NOT RUN", "no inner r", advice)
    error = _gap_error(test, inner_rows)
    figure = (
        f"{signed(gap)} ({inner:.3f} less {test.mean:.3f}, standard error {error:.3f}; bounds "
        f"{INNER_WARN:g}, {INNER_FAIL:g} and 2 standard errors)"
    )
    if not math.isfinite(gap):
        return made(9, where, "NOT RUN", figure, _NO_R)
    if gap > INNER_FAIL and gap > 2 * error:
        advice = "Something was chosen on the validation stories until they flattered, or seen."
        return made(9, where, "FAIL", figure, advice)
    if gap > INNER_WARN:
        advice = "Validation flatters: choose less on it, or add validation stories."
        return made(9, where, "WARN", figure, advice)
    if gap < -INNER_FAIL and not -gap <= 2 * error:
        advice = "Test stories score above validation ones: look for test rows seen in training."
        return made(9, where, "WARN", figure, advice)
    return made(9, where, "PASS", figure, "Validation and test stories agree.")


def _gap_error(test: Summary, inner_rows: int) -> float:
    """Standard error of the difference of two means over targets, on so many rows each."""
    inner = max(inner_rows, 1)
    sampled = _standard_error(test) * math.sqrt(1 + test.n_rows / inner)
    rows = ROWS_FOR_ONE / inner + ROWS_FOR_ONE / test.n_rows
    chance = math.sqrt(rows / max(min(test.n_scored, TARGETS_COUNTED), 1))
    return math.hypot(sampled, chance)


def _standard_error(summary: Summary) -> float:
    interval = summary.interval
    return (interval.high - interval.low) / 2 / NormalDist().inv_cdf((1 + interval.level) / 2)


def onset_diagnostic(where: str, r: Mapping[int, float]) -> Diagnostic:
    """Number 11: mean r with the first 10 and 50 rows of each story left out.

    WARN where less than .8 (10 rows) or .7 (50 rows) of r is left; NOT RUN where one of them is
    not finite.

    Parameters
    ----------
    where : str
    r : mapping of int to float
        Mean r by the rows left out at the start; 0 is there, others where stories are long
        enough.
    """
    figure = ", ".join(
        f"{rows} rows {value:.3f}" + (f" (bound {KEPT[rows]:g} of all)" if rows in KEPT else "")
        for rows, value in r.items()
    )
    if not any(rows in r for rows in KEPT):
        return made(11, where, "NOT RUN", figure, "The stories are too short to leave rows out.")
    if not all(map(math.isfinite, r.values())):
        return made(11, where, "NOT RUN", figure, _NO_R)
    lost = [rows for rows in KEPT if rows in r and r[rows] < KEPT[rows] * r[0]]
    if r[0] > LEAST_R and lost:
        advice = "The start of the story carries much of this r: read it with rows cut, and with Z."
        return made(11, where, "WARN", figure, advice)
    return made(11, where, "PASS", figure, "r does not hang on the stories' starts.")


def apart_diagnostics(
    groups: Mapping[str, Sequence[StoryGroup]], presentations: Mapping[str, int]
) -> tuple[Diagnostic, ...]:
    """Number 14: no group mixes stories that were heard once with averages over repeats.

    Parameters
    ----------
    groups : mapping of subject to story groups
    presentations : mapping of story to int
    """
    return tuple(_apart(groups, presentations))


def _apart(
    groups: Mapping[str, Sequence[StoryGroup]], presentations: Mapping[str, int]
) -> Iterator[Diagnostic]:
    for subject, own in groups.items():
        counts = {group.name: {presentations[s] for s in group.stories} for group in own}
        figure = "; ".join(
            f"{name}: {' and '.join(map(str, sorted(found)))} "
            f"presentation{'s' if found != {1} else ''}"
            for name, found in counts.items()
        )
        mixed = [name for name, found in counts.items() if len(found) > 1 and 1 in found]
        if mixed:
            advice = "Score repeated stories apart: their noise is smaller, so their r is higher."
            yield made(14, f"{subject}, {', '.join(mixed)}", "FAIL", figure, advice)
        else:
            yield made(14, subject, "PASS", figure, "Each group has one kind of presentation.")
