"""The published lists: their sums, their addresses, and names that must be refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from brainaligner.core import InputError
from brainaligner.data import (
    FetchSelection,
    ManifestEntry,
    RemoteDataset,
    fetch_files,
    published_dataset,
    read_manifest,
    select_files,
    smoke_files,
    url_forms,
)
from brainaligner.data._manifest import packaged_manifest

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
RESPONSE_BYTES = {"UTS01": 20_118_122_136, "UTS02": 23_372_912_136, "UTS03": 23_696_531_256}
PYCORTEX = {"UTS01": (27, 296_743_082), "UTS02": (41, 335_742_123), "UTS03": (25, 188_633_926)}
S3 = "https://s3.amazonaws.com/openneuro.org/ds003020"


@pytest.fixture(scope="module")
def remote() -> RemoteDataset:
    return published_dataset("lebel2023")


def under(folder: str, entries=None) -> tuple[int, int]:
    entries = packaged_manifest("ds003020") if entries is None else entries
    sizes = [e.size for e in entries if e.path.startswith(f"derivative/{folder}")]
    return len(sizes), sum(sizes)


def test_all_rows_of_the_real_manifest_parse() -> None:
    assert under("") == (431, 68_093_212_940)
    assert under("TextGrids/") == (84, 84_526_092)
    assert under("", packaged_manifest("ds003020_freesurfer")) == (54, 271_018_143)
    sizes = {e.path: e.size for e in packaged_manifest("ds003020")}
    assert sizes["derivative/respdict.json"] == 2005
    assert sizes["derivative/subject_xfms.json"] == 184
    versionless = [e.path for e in packaged_manifest("ds003020") if e.version_id is None]
    assert len(versionless) == 4
    assert all("/UTS02/views/" in path for path in versionless)


@pytest.mark.parametrize("subject", sorted(RESPONSE_BYTES))
def test_totals_of_each_subject(subject: str) -> None:
    assert under(f"preprocessed_data/{subject}/") == (84, RESPONSE_BYTES[subject])
    assert under(f"pycortex-db/{subject}/") == PYCORTEX[subject]


def test_addresses_are_those_of_the_bucket(remote: RemoteDataset) -> None:
    entry = next(e for e in remote.entries if e.path == "derivative/respdict.json")
    assert url_forms(remote.base_url, entry) == (
        f"{S3}/derivatives/respdict.json",
        f"{S3}/derivative/respdict.json",
        f"{S3}/derivative/respdict.json?versionId=MxlAbt27eyNbANQH6JLaaBOpuiGoQjkK",
    )
    story = ManifestEntry("derivative/preprocessed_data/UTS03/buck.hf5", 1, MD5)
    assert url_forms(S3 + "/", story) == (
        f"{S3}/derivatives/preprocessed_data/UTS03/buck.hf5",
        f"{S3}/derivative/preprocessed_data/UTS03/buck.hf5",
    )
    odd = ManifestEntry("derivative/pycortex-db/voxelize[surf=pia] #1?.gz"[:-4] + ".gz", 1, MD5)
    assert all("%5Bsurf%3Dpia%5D%20%231" in form for form in url_forms(S3, odd))


def test_selections(remote: RemoteDataset) -> None:
    def chosen(**asked) -> list[str]:
        found = select_files(remote, FetchSelection(**asked))
        return [e.path.removeprefix("derivative/") for e in found]

    everything = chosen()
    assert len(everything) == 431 + 54
    tables = ["respdict.json", "subject_xfms.json"]
    one = chosen(what=("responses",), subjects=("UTS03",), stories=("buck",))
    assert one == ["preprocessed_data/UTS03/buck.hf5", *tables]
    assert len(chosen(what=("responses",), subjects=("UTS02",))) == 83 + 2
    repeats = chosen(what=("repeats",), stories=("buck",))
    assert len(repeats) == 3 + 2
    assert "preprocessed_data/UTS01/wheretheressmoke.hf5" in repeats
    words = chosen(what=("textgrids", "repeats"), subjects=("UTS01",), stories=("buck",))
    assert {"TextGrids/buck.TextGrid", "TextGrids/wheretheressmoke.TextGrid"} < set(words)
    assert len(words) == 2 + 1 + 2
    assert len(chosen(what=("surfaces",), subjects=("UTS02",))) == 41 + 18 + 2


def test_the_smoke_set(remote: RemoteDataset) -> None:
    paths = [e.path.removeprefix("derivative/") for e in smoke_files(remote)]
    responses = [p for p in paths if p.startswith("preprocessed_data")]
    assert responses == [
        f"preprocessed_data/UTS03/{story}.hf5"
        for story in ("againstthewind", "sweetaspie", "wheretheressmoke")
    ]
    assert len([p for p in paths if p.startswith("TextGrids/")]) == 84
    assert len([p for p in paths if p.startswith("pycortex-db/UTS03/surfaces/")]) == 8
    assert len([p for p in paths if p.startswith("pycortex-db/UTS03/transforms/")]) == 4
    assert len(paths) == 3 + 84 + 8 + 4 + 2


NAMES_OF_FOLDERS = ("pycortex-db/UTS03", "freesurfer_subjdir/UTS03", "pycortex-db/UTS03/surfaces/a")


def test_the_smoke_set_of_a_manifest_with_a_file_in_the_place_of_a_folder() -> None:
    entries = [ManifestEntry(f"derivative/{name}", 1, "0" * 32) for name in NAMES_OF_FOLDERS]
    chosen = smoke_files(RemoteDataset("lebel2023", tuple(entries)))
    assert [entry.path for entry in chosen] == ["derivative/pycortex-db/UTS03/surfaces/a"]


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ({"what": ("response",)}, "'responses'"),
        ({"subjects": ("UTS3",)}, "'UTS03'"),
        ({"stories": ("bucks",)}, "'buck'"),
    ],
)
def test_unknown_names_get_the_nearest_one(remote: RemoteDataset, asked, nearest: str) -> None:
    with pytest.raises(InputError, match=nearest):
        select_files(remote, FetchSelection(**asked))


HOSTILE = (
    "",
    "/etc/passwd",
    "//server/share",
    "../up",
    "derivative/../../up",
    "derivative/..",
    "derivative/./x",
    "derivative//x",
    "derivative/",
    "C:/windows/x",
    "C:x",
    "derivative/x:stream",
    "..\\up",
    "derivative\\..\\..\\up",
    "derivative/nul\0byte",
    "derivative/new\nline",
    "derivative/con",
    "derivative/NUL.txt",
    "derivative/trailing.",
    "derivative/trailing /x",
    "derivative/x.part",
    "derivative/x.hf5.rejected",
    "derivative/" + "x" * 1001,
)


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_paths_are_refused(path: str) -> None:
    with pytest.raises(InputError, match="trust"):
        ManifestEntry(path, 1, MD5)


@pytest.mark.parametrize("path", [path for path in HOSTILE if "\n" not in path])
def test_hostile_manifests_are_refused_whole(path: str, tmp_path: Path) -> None:
    manifest = tmp_path / "hostile.csv"
    lines = ["path,size,md5", f"derivative/good,1,{MD5}", f"{path},1,{MD5}"]
    manifest.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InputError):
        read_manifest(manifest)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("path,size\na,1", "no column 'md5'"),
        ("", "no column 'path'"),
        (f"path,size,md5\na,-1,{MD5}", "size '-1'"),
        (f"path,size,md5\na,1e3,{MD5}", "size '1e3'"),
        (f"path,size,md5\na,{'9' * 5000},{MD5}", "size"),
        (f"path,size,md5\na,1,{MD5[:-1]}", "MD5"),
        (f"path,size,md5\na,1,{MD5.upper()}", "MD5"),
        ("path,size,md5\na,1", "MD5 ''"),
        (f"path,size,md5,s3_version_id\na,1,{MD5},x&y=z", "version id"),
        (f"path,size,md5\na,1,{MD5}\na,1,{MD5}", "'a' and 'a'"),
        (f"path,size,md5\nd/a,1,{MD5}\nD/A,1,{MD5}", "'d/a' and 'D/A'"),
        (f"path,size,md5\n{'a' * 200000},1,{MD5}", "manifest|CSV"),
    ],
)
def test_bad_manifests(text: str, got: str, tmp_path: Path) -> None:
    manifest = tmp_path / "bad.csv"
    manifest.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=got):
        read_manifest(manifest)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ds003020",
        "ftp://host/x",
        "file:///etc",
        "https://",
        "http://me:secret@host/x",
        "http://host/x?y",
        "http://host/x#y",
        "http://[broken",
        "http://host:99999/x",
    ],
)
def test_addresses_that_are_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="base address"):
        RemoteDataset("lebel2023", (), base_url=url)
    with pytest.raises(InputError, match="base address"):
        fetch_files((), tmp_path / "to", base_url=url)
    assert not (tmp_path / "to").exists()
