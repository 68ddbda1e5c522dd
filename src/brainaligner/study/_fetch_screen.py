"""What a fetch says: its plan, how far it is, and what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brainaligner.core import Progress
from brainaligner.data import (
    CompactSettings,
    FetchPlan,
    FetchReport,
    ParcelCoverage,
    read_parcel_coverage,
)
from brainaligner.study._printing import stderr_console

_LINE_EVERY_S = 10.0
_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_MOST_LISTED = 50


def plan_record(plan: FetchPlan, folder: Path) -> dict[str, Any]:
    """A plan for programs; sizes in bytes."""
    return {
        "files": len(plan.files),
        "bytes": plan.bytes_total,
        "there": len(plan.there),
        "bytes_to_fetch": plan.bytes_to_fetch,
        "bytes_needed": plan.bytes_needed,
        "bytes_free": plan.bytes_free,
        "folder": str(folder),
    }


def plan_lines(plan: FetchPlan, folder: Path) -> list[str]:
    """A plan for people."""
    return [
        f"asked for   {len(plan.files)} files, {_size(plan.bytes_total)}",
        f"there       {len(plan.there)} files by name and size; they will be verified",
        f"to fetch    {_size(plan.bytes_to_fetch)}",
        f"disk        {_size(plan.bytes_needed)} needed, {_size(plan.bytes_free)} free",
        f"folder      {folder}",
    ]


def report_record(
    report: FetchReport, folder: Path, compact: CompactSettings | None
) -> dict[str, Any]:
    """What a fetch did, for programs."""
    counts = {state: len(report.having(state)) for state in ("fetched", "verified")}
    missing = [{"path": one.path, "why": one.why} for one in report.having("missing")]
    received = {"bytes_received": report.bytes_received, "seconds": round(report.seconds, 3)}
    aside = {"missing": missing, "set_aside": [str(place) for place in report.set_aside]}
    if missing:
        return counts | received | aside | {"open_with": None, "parcels": {}}
    covered = {
        subject: {"parcels": len(one.names), "missing": list(one.missing)}
        for subject, one in _coverage(folder, compact)
    }
    return counts | received | aside | {"open_with": str(home(folder, compact)), "parcels": covered}


def report_lines(report: FetchReport, folder: Path, compact: CompactSettings | None) -> list[str]:
    """What a fetch did, for people."""
    missing = report.having("missing")
    lines = [f"MISSING {one.path}: {one.why}" for one in missing[:_MOST_LISTED]]
    if len(missing) > _MOST_LISTED:
        lines.append(f"MISSING {len(missing) - _MOST_LISTED} more")
    lines += [f"WRONG CONTENT set aside: {place}" for place in report.set_aside]
    counts = ", ".join(
        f"{len(report.having(state))} {state}" for state in ("fetched", "verified", "missing")
    )
    lines.append(f"{counts}; {_size(report.bytes_received)} received in {report.seconds:.0f} s")
    if missing:
        return lines
    for subject, one in _coverage(folder, compact):
        n_all = len(one.names)
        lines.append(f"{subject}: {n_all - len(one.missing)} of {n_all} parcels have voxels")
        lines += [f"missing     {', '.join(one.missing)}"] if one.missing else []
    return [*lines, f"open with   --data {home(folder, compact)}"]


def home(folder: Path, compact: CompactSettings | None) -> Path:
    """What ``--data`` has to name afterwards."""
    return folder if compact is None else folder / compact.kind


def _coverage(
    folder: Path, compact: CompactSettings | None
) -> Iterator[tuple[str, ParcelCoverage]]:
    """Which parcels each subject has; the first file of a subject stands for all.

    Nothing where no responses were asked for, and none are there.
    """
    if compact is None or compact.atlas is None:
        return
    recordings = home(folder, compact) / "derivative" / "preprocessed_data"
    first = {path.parent: path for path in sorted(recordings.glob("[!.]*/[!.]*.hf5"), reverse=True)}
    for subject, path in sorted(first.items()):
        found = read_parcel_coverage(path)
        if found is not None:
            yield subject.name, found


def _size(n_bytes: int | float) -> str:
    """A number of bytes for people, in powers of a thousand."""
    power = 0
    while n_bytes >= 1000 and power < len(_UNITS) - 1:
        n_bytes, power = n_bytes / 1000, power + 1
    return f"{n_bytes:.0f} {_UNITS[power]}" if power == 0 else f"{n_bytes:.1f} {_UNITS[power]}"


@contextmanager
def fetch_reporting() -> Iterator[Progress]:
    """A bar on a terminal, a line each ten seconds elsewhere; both with speed and time left."""
    console = stderr_console()
    if not console.is_interactive:
        yield _ByteLines()
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    from brainaligner.study._progress import BarReporter

    description = TextColumn("{task.description}")
    left = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bars(description, BarColumn(), *left, console=console, transient=True) as bars:
        yield BarReporter(bars)


class _ByteLines:
    """Lines for log files: how much of how much, how fast, how long still."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[float, int]] = {}
        self._last = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Write a line when one is due."""
        now = time.monotonic()
        began, at_first = self._begun.setdefault(what, (now, done))
        if now - self._last < _LINE_EVERY_S or done <= at_first:
            return
        self._last = now
        speed = (done - at_first) / (now - began)
        minutes = (total - done) / speed / 60
        print(
            f"{what}: {_size(done)} of {_size(total)}, {_size(speed)}/s, {minutes:.0f} min left",
            file=sys.stderr,
            flush=True,
        )
