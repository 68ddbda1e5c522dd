"""A finished run on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from brainaligner.study._printing import counted
from brainaligner.study._screen_diagnostics import diagnostic_lines
from brainaligner.study._screen_foresight import foresight_lines
from brainaligner.study._screen_significance import significance_screen

if TYPE_CHECKING:
    from brainaligner.study._pricing_tunings import PricedStage
    from brainaligner.study._speed import Speed

_SUBJECTS_ABREAST = 3
_PLACES_SHOWN = 6
_CROWD = 6  # more subjects than this are summed up; the page has each of them
Row = dict[str, Any]


def print_run(run: dict[str, Any], folder: Path, console: Console) -> None:
    """Print warnings first, then a table for each group of stories, then where the page is.

    Parameters
    ----------
    run : dict
        What ``run.json`` holds.
    folder : Path
        Where it lies.
    console : rich.console.Console
    """
    for line in finding_lines(run["findings"]):
        _say(console, line, "yellow")
    for banner in _banners(run):
        _say(console, banner, "bold red")
    _say(console, f"{run['title']}", "bold")
    for group, cut in _in_order((row["group"], row["rows_cut"]) for row in run["results"]):
        rows = [r for r in run["results"] if (r["group"], r["rows_cut"]) == (group, cut)]
        for table in _tables(rows):
            console.print(table)
    for table in significance_screen(run):
        console.print(table)
    for line in foresight_lines(run.get("foresight", {})):
        _say(console, line, "")
    for line in diagnostic_lines(run.get("diagnostics", ())):
        _say(console, line, "bold red" if line.startswith("FAIL") else "")
    seen = run.get("openings")
    if seen:
        whose = "the test stories" if run["label"].startswith("validation") else "these stories"
        by = counted(seen, "configuration")
        _say(console, f"test scores of {whose}: seen by {by} so far", "")
    compared = run.get("compared", ())
    if compared:
        times = counted(len(compared), "time")
        _say(console, f"arms compared on these test stories: {times} so far", "")
    judged = "verdict on SIMULATED DATA" if run["simulated"] else "verdict"
    for line in run.get("verdict", {}).get("lines", ()):
        _say(console, f"{judged}: {line}", "bold")
    _say(console, f"page: {folder / 'report.html'}", "")


def _say(console: Console, text: str, style: str) -> None:
    console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)


def finding_lines(findings: Sequence[dict[str, str]]) -> list[str]:
    """One line for each thing said, with the places that it is said of (the first of them)."""
    places: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        places.setdefault((finding["severity"], finding["text"]), []).append(finding["where"])
    lines = []
    for (severity, text), where in places.items():
        shown = where[: 1 if severity == "note" else _PLACES_SHOWN]
        rest = f" and {len(where) - len(shown)} more" if len(where) > len(shown) else ""
        lines.append(f"{severity.upper()} {'; '.join(shown)}{rest}: {text}")
    return lines


def _banners(run: dict[str, Any]) -> list[str]:
    audit = run.get("audit", {})
    invalid = [f"NOT VALID: {audit['reason']}"] if audit.get("verdict") == "FAIL" else []
    simulated = ["SIMULATED DATA: no number below is about a brain."] if run["simulated"] else []
    banners = invalid + simulated
    if run["label"].startswith("validation"):
        banners.append(f"{run['label'].upper()}: no test story was read.")
    elif run["label"] != "held-out stories":
        banners.append(f"{run['label'].upper()}: no story was held out.")
    return banners


def _tables(rows: Sequence[Row]) -> list[Table]:
    subjects = _in_order(row["subject"] for row in rows)
    if len(subjects) > _CROWD:
        return [_crowd_table(rows, len(subjects))]
    return [_table(rows, chosen) for chosen in _chunks(subjects, _SUBJECTS_ABREAST)]


def _titled(rows: Sequence[Row], columns: str) -> Table:
    first = rows[0]
    title = (
        f"r over {first['space_kind']}, {_stories(first)}, {first['rows_cut']} rows cut at "
        f"each end; {columns}"
    )
    return Table(title=Text(title), title_justify="left", title_style="", show_lines=True)


def _crowd_table(rows: Sequence[Row], n_subjects: int) -> Table:
    table = _titled(rows, f"mean r of {n_subjects} subjects")
    table.add_column("arm", overflow="fold")
    for column in ("mean", "lowest", "highest", "interval above 0"):
        table.add_column(column, justify="right")
    for arm in _in_order(row["arm"] for row in rows):
        scored = [row for row in rows if row["arm"] == arm and row["mean"] is not None]
        means = [row["mean"] for row in scored]
        above = sum((row["interval"]["low"] or 0) > 0 for row in scored)
        shown = [sum(means) / len(means), min(means), max(means)] if means else []
        cells = [f"{value:.3f}" for value in shown] or ["n/a"] * 3
        table.add_row(Text(arm), *cells, f"{above} of {n_subjects}")
    return table


def _table(rows: Sequence[Row], subjects: Sequence[str]) -> Table:
    levels = {row["interval"]["level"] for row in rows}
    level = f"{100 * levels.pop():g} % " if len(levels) == 1 else ""
    table = _titled(rows, f"[{level}interval], share above the shift null")
    table.add_column("arm", overflow="fold")
    for subject in subjects:
        table.add_column(Text(subject), justify="right", no_wrap=True)
    by_place = {(row["arm"], row["subject"]): row for row in rows}
    for arm in _in_order(row["arm"] for row in rows):
        cells = (_cell(by_place.get((arm, subject))) for subject in subjects)
        table.add_row(Text(arm), *(Text(cell) for cell in cells))
    return table


def _stories(row: Row) -> str:
    kind = "heard once" if row["presentations"] == "single" else "averaged over repeats"
    noun = "story" if row["n_stories"] == 1 else "stories"
    return f"group {row['group']} ({row['n_stories']} {noun}, {kind})"


def _cell(row: Row | None) -> str:
    if row is None or row["mean"] is None:
        return "n/a"
    low, high = row["interval"]["low"], row["interval"]["high"]
    interval = "no interval" if low is None else f"[{low:.3f}, {high:.3f}]"
    reference = "" if row["reference"] is None else f"\nreference {row['reference']:.3f}"
    below = f"{reference}{_ceiling_line(row.get('ceiling'))}"
    return f"{row['mean']:.3f}  {row['share_above_null']:.0%}\n{interval}{below}"


def _ceiling_line(ceiling: Row | None) -> str:
    """Ratio to the noise ceiling; runs of earlier versions have none."""
    if ceiling is None or ceiling["cc_norm"] is None:
        return ""
    return f"\nCCnorm {ceiling['cc_norm']:.3f}"


def _in_order(items: Any) -> list[Any]:
    return list(dict.fromkeys(items))


def _chunks(items: Sequence[str], size: int) -> list[Sequence[str]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def list_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A plain table of texts, for lists on a terminal."""
    table = Table(show_lines=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def plan_rows(stages: Sequence[PricedStage], speed: Speed) -> list[list[str]]:
    """One row for each stage of a planned study, and one for all that is left to do."""
    todo = [stage for stage in stages if not stage.done]
    rows = [[s.stage, s.what, *_costs(speed.seconds([s]), s.memory, s.disk)] for s in todo]
    done = [[s.stage, s.what, "done", "", ""] for s in stages if s.done]
    memory = max((stage.memory for stage in todo), default=0.0)
    disk = sum((stage.disk for stage in todo), 0.0)
    return [*done, *rows, ["all", "", *_costs(speed.seconds(todo), memory, disk)]]


def _costs(seconds: float, memory: float, disk: float) -> list[str]:
    return [duration(seconds), f"{memory / 2**30:.1f} GiB", f"{disk / 2**30:.2f} GiB"]


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for unit, size in {"days": 86_400.0, "h": 3_600.0, "min": 60.0}.items():
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def plan_lines(stages: Sequence[PricedStage], speed: Speed) -> list[str]:
    """What the numbers of a plan are."""
    return [
        f"{sum(stage.done for stage in stages)} of {len(stages)} stages are done.",
        f"Times are estimates for {speed.words()}, good to a factor of two or three; "
        "tunings are priced with all their epochs.",
    ]
