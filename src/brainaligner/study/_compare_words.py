"""A comparison of arms for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from statistics import stdev
from typing import TYPE_CHECKING, Any

from brainaligner.core import html_table
from brainaligner.study._printing import counted
from brainaligner.study._record import without_nan

if TYPE_CHECKING:
    from brainaligner.evaluation import Comparison
    from brainaligner.study._compare import RunComparison


def comparison_record(found: RunComparison) -> dict[str, Any]:
    """A comparison as JSON: null where there is no number."""
    arms = [
        {
            "arm": arm,
            "replication": asdict(found.replication(i)),
            "subjects": {
                subject: _record(one, found.settings.alpha)
                for subject, one in found.of_arm(i).items()
            },
        }
        for i, arm in enumerate(found.arms[1:])
    ]
    return {
        "study": found.study,
        "reference": found.arms[0],
        "group": found.group,
        "rows_cut": found.rows_cut,
        "label": found.label,
        "space_kind": found.space_kind,
        "simulated": found.simulated,
        "settings": asdict(found.settings),
        "arms": arms,
        "looks": [
            {"when": one.when, "study": one.study, "arms": list(one.arms)}
            | {"group": one.group, "rows_cut": one.rows_cut}
            for one in found.looks
        ],
    }


def _record(one: Comparison, alpha: float) -> dict[str, Any]:
    plain = {
        name: getattr(one, name)
        for name in ("n_targets", "n_left_out", "reference_mean", "mean", "difference")
    }
    spread = {name: getattr(one, name) for name in ("standard_error", "unit_sd", "detectable")}
    record = plain | spread
    record |= {"direction": one.direction, "interval": asdict(one.interval)}
    record |= {"equivalence": asdict(one.equivalence), "targets": _target_shares(one, alpha)}
    record["seeds"] = _seeds(one.seed_means)
    record["reference_seeds"] = _seeds(one.reference_seed_means)
    found: dict[str, Any] = without_nan(record)
    return found


def _target_shares(one: Comparison, alpha: float) -> dict[str, float]:
    better, worse = one.targets.shares(alpha)
    better_by, worse_by = one.targets.shares(alpha, under_any_dependence=True)
    return {"better": better, "worse": worse, "better_by": better_by, "worse_by": worse_by}


def _seeds(means: tuple[float, ...]) -> dict[str, Any]:
    return {"n": len(means), "means": list(means), "sd": _spread(means)}


def _spread(means: tuple[float, ...]) -> float:
    return stdev(means) if len(means) > 1 else math.nan


def comparison_lines(record: Mapping[str, Any]) -> list[str]:
    """A comparison for a terminal: some lines for each arm and subject, then replication."""
    lines = ["SIMULATED DATA: no number below is about a brain."] if record["simulated"] else []
    lines.append(
        f"{record['study']}: mean r over {record['space_kind']}, {record['label']}, group "
        f"{record['group']}, {record['rows_cut']} rows cut at each end"
    )
    for arm in record["arms"]:
        lines += ["", f"{arm['arm']} less {record['reference']}"]
        for subject, one in arm["subjects"].items():
            lines += [f"  {subject}", *(f"    {line}" for line in _subject_lines(one, record))]
        lines.append(f"  {_replication_line(arm['replication'])}")
    if record["looks"]:
        pairs = {tuple(one["arms"]) for one in record["looks"]}
        times, sets = counted(len(record["looks"]), "time"), counted(len(pairs), "set")
        said = f"test stories of this group: compared {times} so far, {sets} of arms"
        lines += ["", f"{said} (the ledger keeps each)"]
    return lines


def comparison_html(found: RunComparison) -> str:
    """A comparison for a notebook: a row for each arm and subject."""
    record = comparison_record(found)
    stamp = "SIMULATED DATA. " if found.simulated else ""
    caption = (
        f"{stamp}{found.study}: mean r over {found.space_kind} less that of {found.arms[0]}, "
        f"{found.label}, group {found.group}, {found.rows_cut} rows cut at each end"
    )
    columns = ("arm", "subject", "mean r", "reference", "difference", "direction", "equivalence")
    rows = [
        (arm["arm"], subject, *_cells(one))
        for arm in record["arms"]
        for subject, one in arm["subjects"].items()
    ]
    note = (
        f"Brackets: intervals of the difference. Equivalence: no difference beyond "
        f"{found.settings.margin:.1%} of the reference."
    )
    return html_table(caption, columns, rows, note=note)


def _cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    interval = one["interval"]
    return (
        _r(one["mean"]),
        _r(one["reference_mean"]),
        f"{_signed(one['difference'])} [{_signed(interval['low'])}, {_signed(interval['high'])}]",
        one["direction"],
        one["equivalence"]["verdict"],
    )


def _subject_lines(one: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    interval, equal, shares = one["interval"], one["equivalence"], one["targets"]
    settings = record["settings"]
    lines = [
        f"mean r {_r(one['mean'])} against {_r(one['reference_mean'])} over {one['n_targets']} "
        f"targets" + (f" ({one['n_left_out']} without r left out)" if one["n_left_out"] else ""),
        f"difference {_signed(one['difference'])} [{_signed(interval['low'])}, "
        f"{_signed(interval['high'])}]: {one['direction']} "
        f"({100 * interval['level']:g} % interval, {interval['method']}, "
        f"{interval['n_units']} units)",
        f"no difference beyond {settings['margin']:.1%} of the reference "
        f"({_r(equal['margin'])}): {equal['verdict']}" + _p(equal["p"]),
        f"targets better {_share(shares['better'])}, worse {_share(shares['worse'])} "
        f"(Benjamini-Hochberg, {settings['alpha']:g}); by Benjamini-Yekutieli "
        f"{_share(shares['better_by'])}, {_share(shares['worse_by'])}",
        f"smallest difference found with power {settings['power']:g}: {_r(one['detectable'])}",
    ]
    return lines + _seed_lines(one)


def _seed_lines(one: Mapping[str, Any]) -> list[str]:
    both = (("seeds", "seeds"), ("reference's seeds", "reference_seeds"))
    return [
        f"{name}: {', '.join(_r(mean) for mean in one[key]['means'])} (sd {_r(one[key]['sd'])}, "
        "not in the interval)"
        for name, key in both
        if one[key]["n"] > 1
    ]


def _replication_line(counts: Mapping[str, int]) -> str:
    of = f"of {counts['n_subjects']} subjects"
    return (
        f"better in {counts['n_better']} {of}, worse in {counts['n_worse']}, equivalent in "
        f"{counts['n_equivalent']}; above 0 in {counts['n_above']}"
    )


def _r(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "n/a" if value is None else f"{value:+.4f}"


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1%}"


def _p(value: float | None) -> str:
    return "" if value is None else f" (p {value:.3f})"
