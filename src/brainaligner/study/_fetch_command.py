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
    read_parcel_coverage,
    route_notes,
    select_files,
    smoke_files,
    verify_files,
    with_anatomy,
)

_LINE_EVERY_S = 10.0
_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_MOST_LISTED = 50
EXAMPLES = """Examples:

  brainaligner fetch lebel2023 --smoke --to ~/ds003020

  brainaligner fetch lebel2023 --subjects UTS03 --as float32 --delete-originals --to ~/ds003020

  brainaligner fetch lebel2023 --subjects UTS03 --as parcels --atlas ~/a424 --to ~/ds003020

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
        str, typer.Option("--as", help="Copies in TO/<kind>: float32, float16 or parcels.")
    ] = "",
    atlas: Annotated[
        Path | None, typer.Option(help="For parcels: folder with a .dlabel.nii and its volume.")
    ] = None,
    sphere_left: Annotated[
        Path | None, typer.Option(help="For parcels: left fsLR-32k sphere (GIFTI).")
    ] = None,
    sphere_right: Annotated[Path | None, typer.Option(help="The right one.")] = None,
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
    compact = _compact(kind, delete_originals, atlas, (sphere_left, sphere_right))
    if compact is not None and compact.atlas is not None:
        entries = with_anatomy(remote, entries)
        print(*(f"note: {note}" for note in route_notes(compact.fslr_spheres)), sep="\n")
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


def _compact(
    kind: str, delete_originals: bool, atlas: Path | None, spheres: tuple[Path | None, Path | None]
) -> CompactSettings | None:
    given = {
        "--delete-originals": delete_originals,
        "--atlas": atlas is not None,
        "--sphere-left and --sphere-right": spheres != (None, None),
    }
    for option in (option for option, there in given.items() if there and not kind):
        raise InputError(
            option,
            got="no --as",
            wanted="--as parcels, or --as float32 or float16 to delete originals",
            do="Say what to keep of the originals.",
        )
    if not kind:
        return None
    from brainaligner.study._placing import read_atlas_folder, sphere_pair

    labels = None if atlas is None else read_atlas_folder(atlas.expanduser())
    return CompactSettings(kind, delete_originals, labels, sphere_pair(*spheres))


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
    home = folder if compact is None else folder / compact.kind
    if compact is not None and compact.atlas is not None:
        _print_coverage(home)
    print(f"open with   --data {home}")


def _print_coverage(home: Path) -> None:
    """Say of each subject which parcels it has; the first file of a subject stands for all."""
    folders = sorted((home / "derivative" / "preprocessed_data").iterdir())
    for files in (sorted(folder.glob("*.hf5")) for folder in folders if folder.is_dir()):
        coverage = read_parcel_coverage(files[0]) if files else None
        if coverage is not None:
            n_all, missing = len(coverage.names), coverage.missing
            print(f"{files[0].parent.name}: {n_all - len(missing)} of {n_all} parcels have voxels")
            if missing:
                print(f"missing     {', '.join(missing)}")


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
