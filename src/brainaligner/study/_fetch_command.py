"""``brainaligner fetch``: a published dataset, planned, fetched, verified and reported."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainaligner.core import InputError
from brainaligner.study import _completion as complete
from brainaligner.study._printing import AsJson, at_home, confirmed, help_end, print_json, stoppable

if TYPE_CHECKING:
    from brainaligner.data import (
        CompactSettings,
        FetchReport,
        FetchSettings,
        ManifestEntry,
        RemoteDataset,
    )

EXAMPLES = help_end(
    "fetch lebel2023 --smoke --to ~/ds003020",
    "fetch lebel2023 --subjects UTS03 --as float32 --delete-originals --to ~/ds003020",
    "fetch lebel2023 --subjects UTS03 --as parcels --atlas ~/a424 --to ~/ds003020",
    "fetch lebel2023 --subjects UTS03 --to ~/ds003020 --verify",
    more="Stopped or cut off: the same command goes on where it was. Files that are missing or "
    "wrong at the end exit with 1.",
)


def fetch(
    dataset: Annotated[
        str,
        typer.Argument(help="What to fetch: lebel2023.", autocompletion=complete.datasets),
    ],
    to: Annotated[
        Path,
        typer.Option("--to", callback=at_home, help="Folder of the dataset, new or begun."),
    ],
    subjects: Annotated[str, typer.Option(help="Such as UTS02,UTS03; default: all.")] = "",
    stories: Annotated[str, typer.Option(help="Such as buck,life; default: all.")] = "",
    what: Annotated[
        str,
        typer.Option(
            help=f"Some of {','.join(complete.CONTENTS)}; default: all.",
            autocompletion=complete.contents,
        ),
    ] = "",
    smoke: Annotated[
        bool, typer.Option("--smoke", help="The smallest useful set, instead of the three above.")
    ] = False,
    kind: Annotated[
        str,
        typer.Option(
            "--as",
            help="Copies in TO/<kind>: float32, float16 or parcels.",
            autocompletion=complete.copies,
        ),
    ] = "",
    atlas: Annotated[
        Path | None,
        typer.Option(
            callback=at_home, help="For parcels: folder with a .dlabel.nii and its volume."
        ),
    ] = None,
    sphere_left: Annotated[
        Path | None,
        typer.Option(callback=at_home, help="For parcels: left fsLR-32k sphere (GIFTI)."),
    ] = None,
    sphere_right: Annotated[
        Path | None, typer.Option(callback=at_home, help="The right one.")
    ] = None,
    delete_originals: Annotated[
        bool, typer.Option("--delete-originals", help="Remove each once its copy is verified.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Only check what is there.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before fetching.")] = False,
    workers: Annotated[int, typer.Option(help="Files fetched at the same time.")] = 4,
    base_url: Annotated[str, typer.Option(help="Another server with the same files.")] = "",
    manifest: Annotated[
        Path | None,
        typer.Option(callback=at_home, help="CSV of path,size,md5 instead of the packaged one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a published dataset; every file is verified by size and MD5."""
    from brainaligner.data import (
        FetchSettings,
        plan_fetch,
        route_notes,
        verify_files,
        with_anatomy,
    )
    from brainaligner.study._fetch_screen import fetch_reporting, plan_lines, plan_record

    settings = FetchSettings(workers=workers)
    remote = _remote(dataset, base_url, manifest)
    entries = _wanted(remote, smoke, {"--subjects": subjects, "--stories": stories, "--what": what})
    compact = _compact(kind, delete_originals, atlas, (sphere_left, sphere_right))
    notes: tuple[str, ...] = ()
    if compact is not None and compact.atlas is not None:
        entries, notes = with_anatomy(remote, entries), route_notes(compact.fslr_spheres)
    say = partial(print, file=sys.stderr if as_json else sys.stdout)
    for note in notes:
        say(f"note: {note}")
    record: dict[str, Any] = {"dataset": dataset, "notes": list(notes)}
    if verify:
        with stoppable(), fetch_reporting() as progress:
            report = verify_files(entries, to, compact=compact, workers=workers, progress=progress)
        _conclude(report, to, compact, record, as_json=as_json)
        return
    planned = plan_fetch(entries, to, compact=compact, workers=workers)
    record["plan"] = plan_record(planned, to)
    if plan and as_json:
        print_json(record)
        return
    for line in plan_lines(planned, to):
        say(line)
    if plan:
        return
    if not yes and not confirmed("Go on?"):
        raise typer.Exit(1)
    report = _fetched(remote, entries, to, settings, compact)
    _conclude(report, to, compact, record, as_json=as_json)


def _remote(dataset: str, base_url: str, manifest: Path | None) -> RemoteDataset:
    from brainaligner.data import published_dataset, read_manifest

    remote = published_dataset(dataset)
    if manifest is not None:
        remote = replace(remote, entries=read_manifest(manifest))
    return replace(remote, base_url=base_url) if base_url else remote


def _wanted(
    remote: RemoteDataset, smoke: bool, chosen: dict[str, str]
) -> tuple[ManifestEntry, ...]:
    """The files of the smoke set, or those of subjects, stories and contents that were named."""
    from brainaligner.data import FetchSelection, select_files, smoke_files

    if not smoke:
        subjects, stories, what = (_names(text) for text in chosen.values())
        selection = FetchSelection(what or complete.CONTENTS, subjects or None, stories or None)
        return select_files(remote, selection)
    given = [option for option, text in chosen.items() if text]
    if given:
        raise InputError(
            "--smoke",
            got=f"also {', '.join(given)}",
            wanted="the smoke set, whose files are fixed, or a choice of one's own",
            do="Leave out --smoke, or the other.",
        )
    return smoke_files(remote)


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
    from brainaligner.data import CompactSettings
    from brainaligner.study._placing import read_atlas_folder, sphere_pair

    labels = None if atlas is None else read_atlas_folder(atlas)
    return CompactSettings(kind, delete_originals, labels, sphere_pair(*spheres))


def _fetched(
    remote: RemoteDataset,
    entries: tuple[ManifestEntry, ...],
    folder: Path,
    settings: FetchSettings,
    compact: CompactSettings | None,
) -> FetchReport:
    from brainaligner.data import fetch_files
    from brainaligner.study._fetch_screen import fetch_reporting

    with stoppable(), fetch_reporting() as progress:
        return fetch_files(
            entries,
            folder,
            base_url=remote.base_url,
            settings=settings,
            compact=compact,
            progress=progress,
        )


def _conclude(
    report: FetchReport,
    folder: Path,
    compact: CompactSettings | None,
    record: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    from brainaligner.study._fetch_screen import report_lines, report_record

    if as_json:
        print_json(record | report_record(report, folder, compact))
    else:
        print(*report_lines(report, folder, compact), sep="\n")
    if not report.complete:
        raise typer.Exit(1)
