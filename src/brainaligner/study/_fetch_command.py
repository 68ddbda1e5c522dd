"""``brainaligner fetch``: a published dataset, planned, fetched, verified and reported."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from brainaligner.core import InputError, Progress
from brainaligner.data import (
    CONTENTS,
    CompactSettings,
    FetchPlan,
    FetchReport,
    FetchSelection,
    FetchSettings,
    ManifestEntry,
    RemoteDataset,
    fetch_files,
    plan_fetch,
    published_dataset,
    read_manifest,
    select_files,
    smoke_files,
    verify_files,
)

_LINE_EVERY_S = 10.0
_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_MOST_LISTED = 50
EXAMPLES = """Examples:

  brainaligner fetch lebel2023 --smoke --to ~/ds003020

  brainaligner fetch lebel2023 --subjects UTS03 --as float32 --delete-originals --to ~/ds003020

  brainaligner fetch lebel2023 --subjects UTS03 --to ~/ds003020 --verify

Stopped or cut off: the same command goes on where it was. Exit codes: 0 all is there and
right; 1 files are missing or wrong; 2 bad input; 130 stopped by the user."""


def fetch(
    dataset: Annotated[str, typer.Argument(help="What to fetch: lebel2023.")],
    to: Annotated[Path, typer.Option("--to", help="Folder of the dataset, new or begun.")],
    subjects: Annotated[str, typer.Option(help="Such as UTS02,UTS03; default: all.")] = "",
    stories: Annotated[str, typer.Option(help="Such as buck,life; default: all.")] = "",
    what: Annotated[str, typer.Option(help="Some of these.")] = ",".join(CONTENTS),
    smoke: Annotated[bool, typer.Option("--smoke", help="The smallest useful set.")] = False,
    kind: Annotated[
        str, typer.Option("--as", help="Compact copies, float32 or float16, in TO/<kind>.")
    ] = "",
    delete_originals: Annotated[
        bool, typer.Option("--delete-originals", help="Remove each once its copy is verified.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Only check what is there.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before fetching.")] = False,
    workers: Annotated[int, typer.Option(help="Files fetched at the same time.")] = 4,
    base_url: Annotated[str, typer.Option(help="Another server with the same files.")] = "",
    manifest: Annotated[
        Path | None, typer.Option(help="CSV of path,size,md5 instead of the packaged one.")
    ] = None,
) -> None:
    """Fetch a published dataset; every file is verified by size and MD5."""
    remote = _remote(dataset, base_url, manifest)
    selection = FetchSelection(
        _names(what) or CONTENTS, _names(subjects) or None, _names(stories) or None
    )
    entries = smoke_files(remote) if smoke else select_files(remote, selection)
    compact = _compact(kind, delete_originals)
    if verify:
        with _reporting() as progress:
            report = verify_files(entries, to, compact=compact, workers=workers, progress=progress)
    else:
        _announce(plan_fetch(entries, to, compact=compact, workers=workers), to)
        if plan:
            return
        if not yes:
            typer.confirm("Go on?", abort=True)
        report = _fetched(remote, entries, to, FetchSettings(workers=workers), compact)
    _conclude(report, to, compact)


def _remote(dataset: str, base_url: str, manifest: Path | None) -> RemoteDataset:
    remote = published_dataset(dataset)
    if manifest is not None:
        remote = replace(remote, entries=read_manifest(manifest))
    return replace(remote, base_url=base_url) if base_url else remote


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _compact(kind: str, delete_originals: bool) -> CompactSettings | None:
    if delete_originals and not kind:
        raise InputError(
            "--delete-originals",
            got="no --as",
            wanted="--as float32 or --as float16",
            do="Say what to keep instead of the originals.",
        )
    return CompactSettings(kind, delete_originals) if kind else None


def _announce(plan: FetchPlan, folder: Path) -> None:
    print(f"asked for   {len(plan.files)} files, {_size(plan.bytes_total)}")
    print(f"there       {len(plan.there)} files by name and size; they will be verified")
    print(f"to fetch    {_size(plan.bytes_to_fetch)}")
    print(f"disk        {_size(plan.bytes_needed)} needed, {_size(plan.bytes_free)} free")
    print(f"folder      {folder}")


def _fetched(
    remote: RemoteDataset,
    entries: tuple[ManifestEntry, ...],
    folder: Path,
    settings: FetchSettings,
    compact: CompactSettings | None,
) -> FetchReport:
    with _reporting() as progress:
        return fetch_files(
            entries,
            folder,
            base_url=remote.base_url,
            settings=settings,
            compact=compact,
            progress=progress,
        )


def _conclude(report: FetchReport, folder: Path, compact: CompactSettings | None) -> None:
    missing = report.having("missing")
    for outcome in missing[:_MOST_LISTED]:
        print(f"MISSING {outcome.path}: {outcome.why}")
    if len(missing) > _MOST_LISTED:
        print(f"MISSING {len(missing) - _MOST_LISTED} more")
    for place in report.set_aside:
        print(f"WRONG CONTENT set aside: {place}")
    counts = ", ".join(
        f"{len(report.having(state))} {state}" for state in ("fetched", "verified", "missing")
    )
    print(f"{counts}; {_size(report.bytes_received)} received in {report.seconds:.0f} s")
    if missing:
        raise typer.Exit(1)
    print(f"open with   --data {folder if compact is None else folder / compact.kind}")


def _size(n_bytes: int | float) -> str:
    """A number of bytes for people, in powers of a thousand."""
    power = 0
    while n_bytes >= 1000 and power < len(_UNITS) - 1:
        n_bytes, power = n_bytes / 1000, power + 1
    return f"{n_bytes:.0f} {_UNITS[power]}" if power == 0 else f"{n_bytes:.1f} {_UNITS[power]}"


@contextmanager
def _reporting() -> Iterator[Progress]:
    """A bar on a terminal, a line each ten seconds elsewhere; both with speed and time left."""
    console = Console(stderr=True)
    if not console.is_terminal:
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
