"""Fetching a published dataset: in parallel, resumed, every byte verified."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from brainaligner.core import InputError, Progress, no_progress
from brainaligner.data._convert import Rounding
from brainaligner.data._copies import CopyRecipe, copy_fault, keep_copy, link_companions
from brainaligner.data._fetch_file import fetch_file, file_fault
from brainaligner.data._fetch_parallel import Meter, alone_in, in_parallel
from brainaligner.data._fetch_report import (
    FetchReport,
    FileOutcome,
    check_room,
    compact_place,
    is_response,
    plan_fetch,
)
from brainaligner.data._fetch_settings import CompactSettings, FetchSettings
from brainaligner.data._fetch_source import OPENNEURO, checked_address, dataset_file
from brainaligner.data._fetch_transfer import Line, new_session, part_size
from brainaligner.data._manifest import PART, ManifestEntry, place_of
from brainaligner.data._parcel_copies import parcel_means
from brainaligner.data._set_aside import rejected_files
from brainaligner.data._writing import DiskFullError


@dataclass(frozen=True)
class _Job:
    """What every thread of one fetch shares."""

    folder: Path
    base_url: str
    settings: FetchSettings
    compact: CompactSettings | None
    recipes: Mapping[str, CopyRecipe | str] = field(default_factory=dict)
    """Subject -> how its responses are copied, or why they cannot be."""
    stop: threading.Event = field(default_factory=threading.Event)


def verify_files(
    entries: Sequence[ManifestEntry],
    folder: Path,
    *,
    compact: CompactSettings | None = None,
    workers: int = 4,
    progress: Progress = no_progress,
) -> FetchReport:
    """Check size and MD5 of every file that should be there; nothing is fetched or changed.

    Parameters
    ----------
    entries : sequence of ManifestEntry
    folder : Path
        Folder that holds ``derivative/``.
    compact : CompactSettings, optional
        Where given, a verified compact copy counts for its original.
    workers : int
        Files read at the same time.
    progress : Progress
        In bytes.
    """
    began = time.monotonic()
    job = _Job(folder, OPENNEURO, FetchSettings(workers=workers), compact)
    job = _with_recipes(job, entries)
    faults = _faults(job, entries, progress)
    outcomes = (
        FileOutcome(entry.path, "missing" if fault else "verified", fault)
        for entry, fault in zip(entries, faults, strict=True)
    )
    aside = rejected_files(folder, entries)
    return FetchReport(tuple(outcomes), 0, time.monotonic() - began, aside)


def fetch_files(
    entries: Sequence[ManifestEntry],
    folder: Path,
    *,
    base_url: str = OPENNEURO,
    settings: FetchSettings | None = None,
    compact: CompactSettings | None = None,
    progress: Progress = no_progress,
) -> FetchReport:
    """Fetch what is not there yet; a file has its final name only when its MD5 is right.

    Parts are kept as ``<name>.part`` and continued by the next call. A file with wrong content
    is renamed to ``<name>.rejected``, or ``<name>.2.rejected`` where that is taken. Files that
    cannot be had are in the report.

    Parameters
    ----------
    entries : sequence of ManifestEntry
    folder : Path
        New or existing folder; files come to ``derivative/`` in it.
    base_url : str
        Address of the dataset's folder.
    settings : FetchSettings, optional
    compact : CompactSettings, optional
        Where given, each file of responses gets a compact copy in ``<folder>/<kind>/``, made
        as `convert_responses` or `convert_to_parcels` does; an original whose copy is there is
        not fetched again. For parcels all other files come first: a subject whose anatomy is
        not among them, nor there already, has its responses reported as missing, unfetched.
    progress : Progress
        In bytes, from several threads, one at a time.

    Raises
    ------
    InputError
        If the address is not one, the disk has no room (before or on the way), another fetch
        works in the folder, or the folder cannot be used.
    """
    job = _Job(folder, checked_address(base_url), settings or FetchSettings(), compact)
    plan = plan_fetch(entries, folder, compact=compact, workers=job.settings.workers)
    check_room(plan, folder)
    began = time.monotonic()
    with alone_in(folder):
        reasons: dict[str, str] = {}
        received = 0
        for part in _in_turn(entries, compact):
            more, n_bytes = _completed(_with_recipes(job, part), part, progress)
            reasons, received = reasons | more, received + n_bytes
        if compact is not None:
            _finish_copies(job, compact, [e for e in entries if not reasons.get(e.path)])
    outcomes = tuple(_outcome(entry, reasons) for entry in entries)
    aside = rejected_files(folder, entries)
    return FetchReport(outcomes, received, time.monotonic() - began, aside)


def _in_turn(
    entries: Sequence[ManifestEntry], compact: CompactSettings | None
) -> tuple[Sequence[ManifestEntry], ...]:
    """What is fetched one after the other: parcel means need the anatomy before the responses."""
    if compact is None or compact.atlas is None:
        return (entries,)
    first = [entry for entry in entries if not is_response(entry)]
    return first, [entry for entry in entries if is_response(entry)]


def _with_recipes(job: _Job, entries: Sequence[ManifestEntry]) -> _Job:
    """Say how the responses of each subject are copied."""
    if job.compact is None:
        return job
    files = [dataset_file(entry) for entry in entries if is_response(entry)]
    subjects = {file.subject for file in files if file.subject}
    recipes = {subject: _recipe(job.folder, subject, job.compact) for subject in subjects}
    return replace(job, recipes=recipes)


def _recipe(folder: Path, subject: str, compact: CompactSettings) -> CopyRecipe | str:
    if compact.atlas is None:
        return Rounding(compact.kind)
    try:
        return parcel_means(folder, subject, compact.atlas, compact.fslr_spheres)
    except InputError as error:
        return f"no parcels of {subject}: {' '.join(str(error).split())}"


def _recipe_of(job: _Job, entry: ManifestEntry) -> CopyRecipe | str:
    return job.recipes[dataset_file(entry).subject or ""]


def _completed(
    job: _Job, entries: Sequence[ManifestEntry], progress: Progress
) -> tuple[dict[str, str], int]:
    """Verify files and fetch the others; what `_fetched` returns."""
    faults = _faults(job, entries, progress)
    wanted = [entry for entry, fault in zip(entries, faults, strict=True) if fault]
    return _fetched(job, wanted, progress)


def _outcome(entry: ManifestEntry, reasons: dict[str, str]) -> FileOutcome:
    if entry.path not in reasons:
        return FileOutcome(entry.path, "verified")
    why = reasons[entry.path]
    return FileOutcome(entry.path, "missing" if why else "fetched", why)


def _faults(job: _Job, entries: Sequence[ManifestEntry], progress: Progress) -> list[str]:
    """What is wrong with each file as it stands, all of them read."""
    meter = Meter("bytes verified", sum(entry.size for entry in entries), progress)

    def fault_of(entry: ManifestEntry) -> str:
        fault = _fault(job, entry)
        meter.count(entry.size)
        return fault

    return in_parallel(fault_of, entries, workers=job.settings.workers, stop=job.stop)


def _fault(job: _Job, entry: ManifestEntry) -> str:
    compact = job.compact
    if compact is None or not is_response(entry):
        return file_fault(job.folder, entry)
    recipe = _recipe_of(job, entry)
    if isinstance(recipe, str):
        return recipe
    copy = compact_place(job.folder, entry.path, compact.kind)
    return copy_fault(copy, recipe, md5=entry.md5)


def _fetched(
    job: _Job, entries: Sequence[ManifestEntry], progress: Progress
) -> tuple[dict[str, str], int]:
    """Fetch files; path -> why it is missing (empty where it is not), and bytes received."""
    before = sum(_bytes_there(job.folder, entry) for entry in entries)
    total = sum(entry.size for entry in entries)
    meter = Meter("bytes fetched", total, progress, before=before)
    local = threading.local()

    def fetch(entry: ManifestEntry) -> str:
        if not hasattr(local, "session"):
            local.session = new_session()
        line = Line(local.session, job.settings, job.stop, meter.count)
        return _obtained(job, line, entry)

    reasons = in_parallel(fetch, entries, workers=job.settings.workers, stop=job.stop)
    paths = [entry.path for entry in entries]
    return dict(zip(paths, reasons, strict=True)), meter.received


def _bytes_there(folder: Path, entry: ManifestEntry) -> int:
    place = place_of(folder, entry.path)
    if place.is_file() and place.stat().st_size == entry.size:
        return entry.size
    return part_size(place.with_name(place.name + PART))


def _obtained(job: _Job, line: Line, entry: ManifestEntry) -> str:
    """Fetch one file and make its compact copy where that is wanted; say why not, if not."""
    compact = job.compact
    if compact is None or not is_response(entry):
        return fetch_file(line, job.base_url, job.folder, entry)
    recipe = _recipe_of(job, entry)
    if isinstance(recipe, str):
        return recipe
    if file_fault(job.folder, entry):
        why = fetch_file(line, job.base_url, job.folder, entry)
        if why:
            return why
    original = place_of(job.folder, entry.path)
    copy = compact_place(job.folder, entry.path, compact.kind)
    try:
        keep_copy(original, copy, recipe, md5=entry.md5)
    except DiskFullError:
        raise
    except (InputError, OSError) as error:
        return f"no compact copy: {error}"
    if compact.delete_originals:
        original.unlink()
    return ""


def _finish_copies(job: _Job, compact: CompactSettings, right: Sequence[ManifestEntry]) -> None:
    """Make a tree of the copies; remove originals that a stopped call left behind."""
    link_companions(job.folder / "derivative", job.folder / compact.kind / "derivative")
    if compact.delete_originals:
        for entry in filter(is_response, right):
            place_of(job.folder, entry.path).unlink(missing_ok=True)
