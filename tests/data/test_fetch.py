"""Fetching from a server on the loopback address that does all that servers do."""

from __future__ import annotations

import errno
import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fault_server import FAULTS, Shop, serving
from fetch_runs import (
    IMPATIENT,
    addresses,
    entries_of,
    publish,
    random_run,
    shelves,
    wrong_files,
)

from brainaligner.core import InputError
from brainaligner.data import (
    CompactSettings,
    FetchSettings,
    FileOutcome,
    fetch_files,
    open_dataset,
    plan_fetch,
    verify_files,
)
from brainaligner.data import _writing as writing_module
from brainaligner.data._fetch_file import waiting_time
from brainaligner.data._fetch_parallel import alone_in

ONE = {"derivative/TextGrids/one.TextGrid": random.Random(0).randbytes(100_000)}
ENTRY = entries_of(ONE)[0]
PLACE = ENTRY.path
MENDED = (
    "cut",
    "no_answer",
    "server_error",
    "unavailable",
    "too_many",
    "ignores_range",
    "ignores_range_and_cuts",
    "not_satisfiable",
    "redirect",
    "silent",
    "trickling",
    "unannounced_end",
)
"""Faults after which the same address is asked again (or that are none)."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return publish(tmp_path_factory.mktemp("published") / "tree")


@contextmanager
def shop_of(files: dict[str, bytes], *faults: str, **more) -> Iterator[tuple[Shop, str]]:
    left = itertools.chain(faults, itertools.repeat(""))
    shop = Shop(files, lambda: next(left), **more)
    with serving(shop) as base_url:
        yield shop, base_url


def fetch_one(folder: Path, base_url: str) -> FileOutcome:
    report = fetch_files((ENTRY,), folder, base_url=base_url, settings=IMPATIENT)
    (outcome,) = report.outcomes
    assert wrong_files(folder, ONE) == []
    assert (folder / PLACE).is_file() == (outcome.state != "missing")
    return outcome


def test_a_whole_tree_that_the_reader_opens(published: dict[str, bytes], tmp_path: Path) -> None:
    entries, to = entries_of(published), tmp_path / "to"
    told: list[tuple[str, int, int]] = []
    with shop_of(shelves(published)) as (shop, base_url):
        first = fetch_files(
            entries,
            to,
            base_url=base_url,
            settings=IMPATIENT,
            progress=lambda *said: told.append(said),
        )
        asked = len(shop.asked)
        second = fetch_files(entries, to, base_url=base_url, settings=IMPATIENT)
        assert len(shop.asked) == asked
    assert first.complete
    assert first.bytes_received == sum(entry.size for entry in entries)
    assert {path: (to / path).read_bytes() for path in published} == published
    assert (second.complete, second.bytes_received, second.having("fetched")) == (True, 0, ())
    assert open_dataset("lebel2023", to).problems() == ()
    fetched = [(done, total) for what, done, total in told if what == "bytes fetched"]
    assert fetched[-1] == (first.bytes_received, first.bytes_received)
    assert [done for done, _ in fetched] == sorted(done for done, _ in fetched)


def test_no_password_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    with shop_of(dict.fromkeys(addresses(ENTRY), ONE[PLACE]), "redirect") as (shop, base_url):
        assert fetch_one(tmp_path / "to", base_url).state == "fetched"
    assert len(shop.headers) == 2
    assert not any("authorization" in map(str.lower, sent) for sent in shop.headers)
    assert all(sent["Accept-Encoding"] == "identity" for sent in shop.headers)


@pytest.mark.parametrize("fault", MENDED)
def test_faults_that_are_mended_at_the_same_address(fault: str, tmp_path: Path) -> None:
    first, *_ = addresses(ENTRY)
    with shop_of({first: ONE[PLACE]}, "cut", fault, fault, seed=5) as (shop, base_url):
        assert fetch_one(tmp_path / "to", base_url).state == "fetched"
    assert {address for address, _ in shop.asked} == {first}


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - set(MENDED) - {"", "named_elsewhere"}))
def test_faults_after_which_the_next_address_is_asked(fault: str, tmp_path: Path) -> None:
    with shop_of(dict.fromkeys(addresses(ENTRY), ONE[PLACE]), fault) as (shop, base_url):
        assert fetch_one(tmp_path / "to", base_url).state == "fetched"
    assert [address for address, _ in shop.asked] == list(addresses(ENTRY))[:2]


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"", "named_elsewhere", "redirect"}))
def test_faults_without_end_are_reported(fault: str, tmp_path: Path) -> None:
    if fault == "ignores_range":
        fault = "ignores_range_and_cuts"
    everywhere = dict.fromkeys(addresses(ENTRY), ONE[PLACE])
    endless = Shop(everywhere, lambda: fault, seed=1)
    with serving(endless) as base_url:
        outcome = fetch_one(tmp_path / "to", base_url)
    if outcome.state == "missing":
        assert outcome.why
    else:
        assert fault in ("cut", "silent")  # each attempt brings more of the file
    assert len(endless.asked) <= 3 * 100 * IMPATIENT.attempts


def test_a_name_that_the_server_gives_is_not_used(tmp_path: Path) -> None:
    with shop_of(dict.fromkeys(addresses(ENTRY), ONE[PLACE]), "named_elsewhere") as (_, base_url):
        assert fetch_one(tmp_path / "a" / "to", base_url).state == "fetched"
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("form", range(2))
def test_each_form_of_the_address(form: int, tmp_path: Path) -> None:
    with shop_of({addresses(ENTRY)[form]: ONE[PLACE]}) as (shop, base_url):
        assert fetch_one(tmp_path / "to", base_url).state == "fetched"
    assert [address for address, _ in shop.asked] == list(addresses(ENTRY))[: form + 1]


def test_a_newer_version_leads_to_the_version_id(tmp_path: Path) -> None:
    files = {f"derivative/{name}": name.encode() * 500 for name in ("skipped", "wanted")}
    entry = entries_of(files)[1]
    forms, newer = addresses(entry), b"x" * entry.size
    assert forms[2].endswith(f"?versionId={entry.version_id}")
    shelved = dict(zip(forms, (newer, newer, files[entry.path]), strict=True))
    with shop_of(shelved) as (shop, base_url):
        report = fetch_files((entry,), tmp_path, base_url=base_url, settings=IMPATIENT)
    assert report.complete
    assert (tmp_path / entry.path).read_bytes() == files[entry.path]
    assert [address for address, _ in shop.asked] == list(forms)


def test_a_part_is_continued_and_not_fetched_again(tmp_path: Path) -> None:
    part = tmp_path / "to" / (PLACE + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(ONE[PLACE][:60_000])
    with shop_of({addresses(ENTRY)[0]: ONE[PLACE]}) as (shop, base_url):
        report = fetch_files((ENTRY,), tmp_path / "to", base_url=base_url, settings=IMPATIENT)
    assert shop.asked == [(addresses(ENTRY)[0], 60_000)]
    assert report.bytes_received == 40_000
    assert not part.exists()


def test_a_spoiled_part_costs_one_more_try_at_the_same_address(tmp_path: Path) -> None:
    part = tmp_path / "to" / (PLACE + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" * 60_000)
    first = addresses(ENTRY)[0]
    with shop_of({first: ONE[PLACE]}) as (shop, base_url):
        assert fetch_one(tmp_path / "to", base_url).state == "fetched"
    assert shop.asked == [(first, 60_000), (first, 0)]


def test_a_wrong_file_is_set_aside_and_said(tmp_path: Path) -> None:
    place = tmp_path / PLACE
    place.parent.mkdir(parents=True)
    place.write_bytes(b"something of the user's")
    found = verify_files((ENTRY,), tmp_path)
    assert found.having("missing")[0].why == "23 bytes instead of 100000"
    assert place.read_bytes() == b"something of the user's"
    with shop_of({}) as (_, base_url):
        report = fetch_files((ENTRY,), tmp_path, base_url=base_url, settings=IMPATIENT)
    assert report.having("missing")[0].why.count("answer 404") == 2
    assert not place.exists()
    assert [path.read_bytes() for path in report.set_aside] == [b"something of the user's"]


def test_no_wrong_file_takes_the_place_of_another(tmp_path: Path) -> None:
    place = tmp_path / PLACE
    place.parent.mkdir(parents=True)
    wrong = [f"wrong {i}".encode() for i in range(11)]
    with shop_of({addresses(ENTRY)[0]: ONE[PLACE]}) as (_, base_url):
        for content in wrong:
            place.write_bytes(content)
            assert fetch_one(tmp_path, base_url).state == "fetched"
    names = [f"{place.name}.rejected", *(f"{place.name}.{i}.rejected" for i in range(2, 12))]
    report = verify_files((ENTRY,), tmp_path)
    assert [path.name for path in report.set_aside] == names
    assert [path.read_bytes() for path in report.set_aside] == wrong
    report.set_aside[0].unlink()
    assert len(verify_files((ENTRY,), tmp_path).set_aside) == 10


def test_verifying_reads_content_and_changes_nothing(tmp_path: Path) -> None:
    place = tmp_path / PLACE
    place.parent.mkdir(parents=True)
    place.write_bytes(ONE[PLACE])
    assert verify_files((ENTRY,), tmp_path).complete
    place.write_bytes(ONE[PLACE][:-1] + b"!")
    (outcome,) = verify_files((ENTRY,), tmp_path).outcomes
    assert outcome == FileOutcome(PLACE, "missing", "content with another MD5")
    place.unlink()
    assert verify_files((ENTRY,), tmp_path).outcomes[0].why == "absent"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_room_is_said_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 99_999})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with (
        shop_of(shelves(ONE)) as (shop, base_url),
        pytest.raises(InputError, match="99,999 bytes free; wanted 100,000"),
    ):
        fetch_files((ENTRY,), tmp_path / "to", base_url=base_url)
    assert shop.asked == []
    assert not (tmp_path / "to").exists()


def test_a_disk_that_fills_up_ends_all_and_keeps_the_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"derivative/f{i}": bytes([i]) * 300_000 for i in range(8)}
    room, lock, write = [700_000], threading.Lock(), writing_module.write_all

    def write_within(file, piece) -> None:
        with lock:
            room[0] -= len(piece)
            if room[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, piece)

    monkeypatch.setattr("brainaligner.data._fetch_transfer.write_all", write_within)
    with shop_of(shelves(files), pause_s=0.0) as (_, base_url):
        with pytest.raises(InputError, match=r"a full disk.*goes on where it was"):
            fetch_files(entries_of(files), tmp_path, base_url=base_url, settings=IMPATIENT)
        assert wrong_files(tmp_path, files) == []
        room[0] = 10**9
        report = fetch_files(entries_of(files), tmp_path, base_url=base_url, settings=IMPATIENT)
    assert report.complete
    assert report.bytes_received < 8 * 300_000


@pytest.mark.parametrize("level", ["derivative", "derivative/TextGrids"])
def test_a_link_that_leads_out_is_refused(level: str, tmp_path: Path) -> None:
    outside, to = tmp_path / "outside", tmp_path / "to"
    outside.mkdir()
    (to / level).parent.mkdir(parents=True)
    (to / level).symlink_to(outside)
    with (
        shop_of(shelves(ONE)) as (shop, base_url),
        pytest.raises(InputError, match="a link to"),
    ):
        fetch_files((ENTRY,), to, base_url=base_url, settings=IMPATIENT)
    assert shop.asked == []
    assert list(outside.iterdir()) == []


def test_links_of_other_programs_are_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"untouched")
    place = tmp_path / "to" / PLACE
    place.parent.mkdir(parents=True)
    place.symlink_to("../.git/annex/objects/nowhere")
    place.with_name(place.name + ".part").symlink_to(outside)
    with shop_of({addresses(ENTRY)[0]: ONE[PLACE]}) as (_, base_url):
        assert fetch_one(tmp_path / "to", base_url).state == "fetched"
    assert outside.read_bytes() == b"untouched"
    assert not place.is_symlink()


def test_one_fetch_at_a_time(tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(InputError, match="another fetch"):
        fetch_files((ENTRY,), tmp_path, base_url="http://127.0.0.1:9/x")
    with alone_in(tmp_path):
        assert plan_fetch((ENTRY,), tmp_path).bytes_to_fetch == ENTRY.size


@pytest.mark.parametrize(
    ("prepare", "got"),
    [
        (lambda to: to.write_text("a file"), "a file"),
        (lambda to: (to / "derivatives").mkdir(parents=True), "later snapshot"),
    ],
)
def test_folders_that_cannot_be_used(
    prepare: Callable[[Path], object], got: str, tmp_path: Path
) -> None:
    prepare(tmp_path / "to")
    with pytest.raises(InputError, match=got):
        plan_fetch((ENTRY,), tmp_path / "to")


def test_a_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / PLACE / "in the way").mkdir(parents=True)
    with shop_of({addresses(ENTRY)[0]: ONE[PLACE]}) as (_, base_url):
        report = fetch_files((ENTRY,), tmp_path, base_url=base_url, settings=IMPATIENT)
    assert "cannot be written" in report.having("missing")[0].why


def test_copies_on_the_way(published: dict[str, bytes], tmp_path: Path) -> None:
    entries = entries_of(published)
    compact = CompactSettings("float32", delete_originals=True)
    with shop_of(shelves(published)) as (shop, base_url):
        report = fetch_files(
            entries, tmp_path, base_url=base_url, settings=IMPATIENT, compact=compact
        )
        asked = len(shop.asked)
        again = fetch_files(
            entries, tmp_path, base_url=base_url, settings=IMPATIENT, compact=compact
        )
        assert len(shop.asked) == asked
    assert report.complete
    assert {outcome.state for outcome in again.outcomes} == {"verified"}
    assert not list((tmp_path / "derivative").rglob("*.hf5"))
    dataset = open_dataset("lebel2023", tmp_path / "float32")
    assert dataset.problems() == ()
    assert dataset.stories("UTS03") == ("againstthewind", "sweetaspie", "wheretheressmoke")
    assert verify_files(entries, tmp_path, compact=compact).complete
    copy = tmp_path / "float32/derivative/preprocessed_data/UTS03/sweetaspie.hf5"
    copy.write_bytes(copy.read_bytes()[:-4])
    found = verify_files(entries, tmp_path, compact=compact).having("missing")
    assert [outcome.path for outcome in found] == [
        copy.relative_to(tmp_path / "float32").as_posix()
    ]
    plan = plan_fetch(entries, tmp_path / "new", compact=compact, workers=1)
    sizes = [len(content) for path, content in published.items() if path.endswith("hf5")]
    assert plan.bytes_needed == plan.bytes_total - sum(sizes) + max(sizes) + sum(sizes) // 2


def test_waits_grow_and_differ() -> None:
    settings = FetchSettings(first_wait_s=1.0, longest_wait_s=60.0)
    for failures, longest in ((1, 1.0), (2, 2.0), (4, 8.0), (7, 60.0), (10_000, 60.0)):
        waits = [waiting_time(settings, failures) for _ in range(50)]
        assert longest / 2 < min(waits) < max(waits) <= longest
        assert len(set(waits)) > 40


@pytest.mark.parametrize(
    "setting",
    [
        {"workers": 0},
        {"attempts": 0},
        {"first_wait_s": -1.0},
        {"longest_wait_s": float("nan")},
        {"connect_timeout_s": 0.0},
        {"silence_timeout_s": float("inf")},
    ],
)
def test_settings_that_make_no_sense(setting: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(setting))):
        FetchSettings(**setting)


def test_random_faults(published: dict[str, bytes], tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seeds {seed} to {seed + 19}")
    results = []
    for number in range(20):
        folder = tmp_path / str(number) / "to"
        folder.parent.mkdir()
        results.append(random_run(published, folder, seed + number))
    assert {seed + i: r.wrong for i, r in enumerate(results) if r.wrong} == {}
    assert sum(result.faults for result in results) > 20
