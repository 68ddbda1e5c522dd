"""What is published where, and which part of it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

from brainaligner.core import InputError, unknown_name
from brainaligner.data._manifest import ManifestEntry, packaged_manifest

OPENNEURO = "https://s3.amazonaws.com/openneuro.org/ds003020"
CONTENTS = ("responses", "repeats", "textgrids", "surfaces")
_FOLDERS = {
    "preprocessed_data": "responses",
    "TextGrids": "textgrids",
    "pycortex-db": "surfaces",
    "freesurfer_subjdir": "surfaces",
}
_TABLE = "table"
_OLD, _NEW = "derivative/", "derivatives/"

_SMOKE_SUBJECT = "UTS03"
_SMOKE_STORIES = ("againstthewind", "sweetaspie")
_SMOKE_FOLDERS = ("surfaces", "transforms")


@dataclass(frozen=True)
class RemoteDataset:
    """A published dataset: its files and where a server keeps them.

    Parameters
    ----------
    name : str
        The reader that opens what was fetched.
    entries : tuple of ManifestEntry
    base_url : str
        Address of the dataset's folder, http or https.
    repeated : tuple of str
        Stories that subjects heard several times.

    Raises
    ------
    InputError
        If the address is not one, or holds a password, a query or a fragment.
    """

    name: str
    entries: tuple[ManifestEntry, ...]
    base_url: str = OPENNEURO
    repeated: tuple[str, ...] = ("wheretheressmoke",)

    def __post_init__(self) -> None:
        checked_address(self.base_url)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects with responses, sorted."""
        return tuple(sorted({file.subject for file in self._files() if file.subject}))

    @property
    def stories(self) -> tuple[str, ...]:
        """Stories with responses or a TextGrid, sorted."""
        return tuple(sorted({file.story for file in self._files() if file.story}))

    def _files(self) -> list[DatasetFile]:
        return [dataset_file(entry) for entry in self.entries]


@dataclass(frozen=True)
class DatasetFile:
    """What one entry is to the dataset, as its path tells.

    Parameters
    ----------
    entry : ManifestEntry
    content : {"responses", "textgrids", "surfaces", "table"}
    subject, story : str, optional
        Whose it is and what was heard, where that applies.
    """

    entry: ManifestEntry
    content: str
    subject: str | None = None
    story: str | None = None


@dataclass(frozen=True)
class FetchSelection:
    """Which files of a dataset are wanted; small tables always come along.

    Parameters
    ----------
    what : tuple of {"responses", "repeats", "textgrids", "surfaces"}
        ``responses``: the stories heard once, and repeated ones that `stories` names;
        ``repeats``: the stories heard several times, whatever `stories` says;
        ``surfaces``: pycortex and FreeSurfer files.
    subjects, stories : tuple of str, optional
        All of them where nothing is given.
    """

    what: tuple[str, ...] = CONTENTS
    subjects: tuple[str, ...] | None = None
    stories: tuple[str, ...] | None = None


def checked_address(url: str) -> str:
    """Return `url` if it is a plain http or https address.

    Raises
    ------
    InputError
        If not.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname)
        sound = sound and not (parts.username or parts.query or parts.fragment)
        sound = sound and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound:
        raise InputError(
            "base address",
            got=repr(url[:200]),
            wanted="http:// or https://, a host and a path, without password or query",
            do=f"Give an address such as {OPENNEURO}.",
        )
    return url


def dataset_file(entry: ManifestEntry) -> DatasetFile:
    """Say what an entry is, from its path (layout of ds003020)."""
    path = PurePosixPath(entry.path)
    content = _FOLDERS.get(path.parts[1], _TABLE) if len(path.parts) > 2 else _TABLE
    if content == "textgrids":
        return DatasetFile(entry, content, story=path.stem)
    if content == "responses":
        return DatasetFile(entry, content, subject=path.parts[2], story=path.stem)
    return DatasetFile(entry, content, subject=path.parts[2] if content == "surfaces" else None)


def url_forms(base_url: str, entry: ManifestEntry) -> tuple[str, ...]:
    """Addresses to try in turn for one file.

    Snapshots of ds003020 from 3.1.1 on call the folder ``derivatives``, earlier ones
    ``derivative``; the last form names the version of 3.1.0 itself.
    """
    base = base_url.rstrip("/")
    plain = f"{base}/{quote(entry.path)}"
    forms = [plain]
    if entry.path.startswith(_OLD):
        forms.insert(0, f"{base}/{quote(_NEW + entry.path.removeprefix(_OLD))}")
    if entry.version_id is not None:
        forms.append(f"{plain}?versionId={entry.version_id}")
    return tuple(forms)


def select_files(remote: RemoteDataset, selection: FetchSelection) -> tuple[ManifestEntry, ...]:
    """Return the entries that a selection asks for, in the manifest's order.

    Raises
    ------
    InputError
        For an unknown content, subject or story (the nearest name is given), or if nothing
        is left.
    """
    _check_names("what", "content", selection.what, CONTENTS)
    _check_names("subjects", "subject", selection.subjects or (), remote.subjects)
    _check_names("stories", "story", selection.stories or (), remote.stories)
    chosen = [
        file for file in map(dataset_file, remote.entries) if _wanted(remote, selection, file)
    ]
    if all(file.content == _TABLE for file in chosen):
        raise InputError(
            "selection",
            got="no file",
            wanted="at least one",
            do="Ask for more contents (--what), subjects or stories.",
        )
    return tuple(file.entry for file in chosen)


def _wanted(remote: RemoteDataset, selection: FetchSelection, file: DatasetFile) -> bool:
    if file.subject and selection.subjects and file.subject not in selection.subjects:
        return False
    named = file.story in (selection.stories or ())
    repeated = file.story in remote.repeated
    listed = named or selection.stories is None
    repeats = "repeats" in selection.what
    return {
        "responses": ("responses" in selection.what and (named or (listed and not repeated)))
        or (repeats and repeated),
        "textgrids": "textgrids" in selection.what and (listed or (repeats and repeated)),
        "surfaces": "surfaces" in selection.what,
        _TABLE: True,
    }[file.content]


def smoke_files(remote: RemoteDataset) -> tuple[ManifestEntry, ...]:
    """Return the smallest set with which everything can be tried.

    One subject's responses to two short stories and to the repeated one, all TextGrids, and
    the subject's transform and surfaces.
    """
    stories = {*_SMOKE_STORIES, *remote.repeated}
    chosen = []
    for file in map(dataset_file, remote.entries):
        own = file.subject == _SMOKE_SUBJECT
        parts = PurePosixPath(file.entry.path).parts
        placing = parts[1:2] == ("pycortex-db",) and bool({*parts[3:4]} & {*_SMOKE_FOLDERS})
        wanted = {
            "responses": own and file.story in stories,
            "textgrids": True,
            "surfaces": own and placing,
            _TABLE: True,
        }
        if wanted[file.content]:
            chosen.append(file.entry)
    return tuple(chosen)


def with_anatomy(
    remote: RemoteDataset, entries: Iterable[ManifestEntry]
) -> tuple[ManifestEntry, ...]:
    """Add all pycortex and FreeSurfer files of the subjects whose responses are asked for.

    Raises
    ------
    InputError
        If the manifest has not both for one of them.
    """
    chosen = set(entries)
    files = [dataset_file(entry) for entry in remote.entries]
    subjects = {f.subject for f in files if f.content == "responses" and f.entry in chosen}
    anatomy = [f for f in files if f.content == "surfaces" and f.subject in subjects]
    for subject in sorted(name for name in subjects if name):
        folders = {PurePosixPath(f.entry.path).parts[1] for f in anatomy if f.subject == subject}
        absent = sorted({"pycortex-db", "freesurfer_subjdir"} - folders)
        if absent:
            raise InputError(
                f"anatomy of {subject}",
                got=f"no {' and no '.join(absent)} in the manifest",
                wanted="the files that say where its voxels lie",
                do="Leave the subject out, or use a manifest that has them.",
            )
    chosen |= {file.entry for file in anatomy}
    return tuple(entry for entry in remote.entries if entry in chosen)


def _check_names(where: str, kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = tuple(known)
    for name in names:
        if name not in known:
            raise unknown_name(where, kind, name, known)


def published_dataset(name: str) -> RemoteDataset:
    """Return a dataset that this package can fetch, with its packaged manifest.

    Raises
    ------
    InputError
        For an unknown name (the nearest is given).
    """
    if name not in PUBLISHED:
        raise unknown_name("dataset", "dataset to fetch", name, PUBLISHED)
    return PUBLISHED[name]()


def _lebel2023() -> RemoteDataset:
    entries = packaged_manifest("ds003020") + packaged_manifest("ds003020_freesurfer")
    return RemoteDataset("lebel2023", entries)


PUBLISHED: dict[str, Callable[[], RemoteDataset]] = {"lebel2023": _lebel2023}
