"""``brainaligner page``: a finished run's page in another language, and as PDF."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import psutil
import pytest
from study_trees import Cli, StudyFile, artifacts

from brainaligner.core import BrainAlignerError
from brainaligner.study import _pdf
from brainaligner.study._page_record import read_page
from brainaligner.study._pdf import COMMANDS, find_browser, save_pdf

pytestmark = pytest.mark.drawn
JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
HTML = "<!DOCTYPE html><html lang='en'><title>A short page</title><body><p>r = 0.1</p>"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Folder of a finished run, without its store."""
    return shutil.copytree(finished / "tiny", tmp_path / "elsewhere" / "tiny")


@pytest.fixture(scope="module")
def printer() -> str:
    """A browser that prints; skips where this machine has none."""
    found = next(filter(None, map(shutil.which, COMMANDS)), None)
    if found is None:
        pytest.skip("no browser on the path")
    return found


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_page_comes_again_without_store_and_data(
    cli: Cli, run: Path, tmp_path: Path
) -> None:
    before = content(run)
    done = cli("page", run, "--to", tmp_path / "new" / "again.html")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "new" / "again.html").read_bytes() == before["report.html"]
    assert content(run) == before


def test_the_page_in_japanese_stands_beside_the_english_one(cli: Cli, run: Path) -> None:
    before = content(run)
    done = cli("page", run, "--language", "ja")
    assert done.out == f"page: {run / 'report.ja.html'}\n"
    page = (run / "report.ja.html").read_text(encoding="utf-8")
    assert '<html lang="ja">' in page
    assert "数値を読む前に" in page
    assert content(run) == before | {"report.ja.html": page.encode()}


def test_a_real_page_has_no_english_sentence_outside_marked_elements(cli: Cli, run: Path) -> None:
    cli("page", run, "--language", "ja")
    page = (run / "report.ja.html").read_text(encoding="utf-8")
    marked = re.findall(r'<span lang="en">(.*?)</span>', page)
    assert marked == []
    bare = re.sub(r"<(style|code|pre)\b.*?</\1>|<div id=.methods.*?</div>", "", page, flags=re.S)
    bare = re.sub(r'<dt lang="en">.*?</dt>', "", bare)
    texts = [" ".join(text.split()) for text in re.split(r"<[^>]*>", bare)]
    parts = [
        part for text in texts if not JAPANESE.search(text) for part in re.split("[;:,]", text)
    ]
    english = [p for p in parts if len(re.findall(r"(?<!\S)[A-Za-z]{2,}(?!\S)", p)) >= 3]
    assert english == []
    assert len(parts) > 200


def test_the_language_may_come_from_the_environment(
    cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAINALIGNER_LANGUAGE", "ja")
    assert cli("page", run).out == f"page: {run / 'report.ja.html'}\n"
    assert cli("page", run, "--language", "en").out == f"page: {run / 'report.en.html'}\n"


def test_a_run_in_japanese_has_the_same_numbers_and_passes_its_audit(
    cli: Cli, study_file: StudyFile, finished: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(finished, tmp_path / "out")
    stages, english = artifacts(out), content(out / "tiny")
    done = cli("run", study_file(), "--out", out, "--threads", "1", "--language", "ja")
    assert done.code == 0, done.err
    japanese = content(out / "tiny")
    differing = {name for name in english if english[name] != japanese[name]}
    assert differing <= {"report.html", "log.txt"}
    assert b'<html lang="ja">' in japanese["report.html"]
    new = {path.split("/")[0] for path in artifacts(out).keys() - stages.keys()}
    assert new == {"report"}
    audited = cli("audit", out / "tiny")
    assert audited.code == 0, audited.out + audited.err
    assert cli("run", study_file(), "--out", out, "--threads", "1").code == 0
    assert (out / "tiny" / "report.html").read_bytes() == english["report.html"]


@pytest.mark.parametrize("command", ["run", "page"])
def test_an_unknown_language_is_refused_before_any_work(
    cli: Cli, study_file: StudyFile, run: Path, tmp_path: Path, command: str
) -> None:
    place = [study_file(), "--out", tmp_path / "out"] if command == "run" else [run]
    done = cli(command, *place, "--language", "jp")
    assert done.code == 2
    assert "--language" in done.err
    assert "ja" in done.err
    assert not (tmp_path / "out").exists()
    assert not list(run.glob("report.*.html"))


def _no_run(run: Path) -> None:
    (run / "run.json").unlink()


def _older(run: Path) -> None:
    (run / "page.npz").unlink()


def _torn(run: Path) -> None:
    (run / "page.npz").write_bytes((run / "page.npz").read_bytes()[:2000])


def _other_scores(run: Path) -> None:
    shutil.copy(run / "significance.npz", run / "scores.npz")


BROKEN = {
    "no run": (_no_run, "run.json"),
    "an older run": (_older, "older version"),
    "a torn file": (_torn, "a damaged file"),
    "other scores": (_other_scores, "a damaged file"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_whole_run_is_refused(cli: Cli, run: Path, kind: str) -> None:
    breaks, said = BROKEN[kind]
    breaks(run)
    done = cli("page", run, "--language", "ja")
    assert done.code == 2
    assert said in done.err
    assert len(done.lines) == 1
    assert not (run / "report.ja.html").exists()


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--to", "page.txt", "ends with .html"),
        ("--pdf", "page.html", "ends with .pdf"),
        ("--to", "report.html", "its audit compares"),
    ],
)
def test_bad_targets_are_refused(cli: Cli, run: Path, option: str, name: str, said: str) -> None:
    before = content(run)
    done = cli("page", run, option, run / name)
    assert done.code == 2
    assert said in done.err
    assert content(run) == before


def test_the_runs_own_page_is_known_by_any_path(cli: Cli, run: Path, tmp_path: Path) -> None:
    before = content(run)
    (tmp_path / "link.html").symlink_to(run / "report.html")
    for other in (run / ".." / run.name / "report.html", tmp_path / "link.html"):
        done = cli("page", run, "--to", other)
        assert done.code == 2
        assert "its audit compares" in done.err
    assert content(run) == before


def test_a_target_in_the_users_folder_goes_there(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    done = cli("page", run, "--to=~/mine.html")
    assert done.out == f"page: {tmp_path / 'mine.html'}\n"
    assert (tmp_path / "mine.html").is_file()
    assert not (tmp_path / "~").exists()


def test_a_browser_with_nothing_to_print_is_refused(cli: Cli, run: Path) -> None:
    done = cli("page", run, "--browser", "sh")
    assert done.code == 2
    assert "nothing to print" in done.err


def test_a_page_is_printed_with_its_title_and_pages(
    cli: Cli, run: Path, printer: str, tmp_path: Path
) -> None:
    target = tmp_path / "made" / "tiny.pdf"
    done = cli("page", run, "--pdf", target, "--browser", printer)
    assert (done.code, done.out) == (0, f"pdf: {target}\n"), done.err
    printed = target.read_bytes()
    assert printed.startswith(b"%PDF-")
    assert printed.rstrip().endswith(b"%%EOF")
    pages = re.findall(rb"/Type\s*/Page\b", printed)
    counts = [int(n) for n in re.findall(rb"/Count (\d+)", printed)]
    assert len(pages) >= 2
    assert len(pages) == max(counts)
    assert b"/Title (tiny)" in printed
    assert [path.name for path in target.parent.iterdir()] == ["tiny.pdf"]


def test_without_a_browser_it_says_what_to_do(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pdf.shutil, "which", lambda _: None)
    done = cli("page", run, "--pdf", tmp_path / "tiny.pdf")
    assert done.code == 2
    assert "no browser that can print" in done.err
    assert "--browser" in done.err
    named = cli("page", run, "--pdf", tmp_path / "tiny.pdf", "--browser", tmp_path / "nothing")
    assert named.code == 2
    assert "which is no program" in named.err
    assert not (tmp_path / "tiny.pdf").exists()


def test_a_target_that_cannot_be_written_is_said(cli: Cli, run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for option in (["--to", "page.html"], ["--pdf", "page.pdf", "--browser", "sh"]):
        done = cli("page", run, option[0], tmp_path / "file" / option[1], *option[2:])
        assert done.code == 2
        assert "cannot be written" in done.err


def test_a_program_that_prints_nothing_is_named(tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\necho it hurts >&2\nexit 3\n")
    silent.chmod(0o755)
    target = tmp_path / "page.pdf"
    target.write_bytes(b"an older print")
    with pytest.raises(BrainAlignerError, match="it hurts"):
        save_pdf(HTML, target, browser=find_browser(silent))
    assert target.read_bytes() == b"an older print"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.pdf", "silent"]


def _sleeping() -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [process for process in found if process.info["cmdline"] == ["sleep", NAP]]


NAP = "61.25"  # no other process sleeps as long
HALF = 'for one; do case "$one" in --print-to-pdf=*) printf %%PDF-1.4 > "${one#*=}";; esac; done; '


@pytest.mark.parametrize("end", ["exit 139", f"sleep {NAP} & exit 0", f"sleep {NAP}"])
def test_half_a_page_is_none_and_nothing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """A browser that breaks, that leaves a child behind, and that hangs."""
    monkeypatch.setattr(_pdf, "SECONDS", 2)
    fake = tmp_path / "fake"
    fake.write_text(f"#!/bin/sh\n{HALF}{end}\n")
    fake.chmod(0o755)
    began = time.monotonic()
    with pytest.raises(BrainAlignerError, match="no whole PDF"):
        save_pdf(HTML, tmp_path / "new" / "page.pdf", browser=str(fake))
    assert time.monotonic() - began < 30
    assert [path.name for path in tmp_path.iterdir()] == ["fake"]
    until = time.monotonic() + 10
    while _sleeping() and time.monotonic() < until:
        time.sleep(0.1)
    assert _sleeping() == []


def test_a_browser_is_called_with_its_own_profile_and_no_network(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    fake = tmp_path / "fake"
    fake.write_text(
        f'#!/bin/sh\nfor one in "$@"; do echo "$one" >> "{heard}"; case "$one" in '
        '--print-to-pdf=*) printf "%%PDF-1.4\\n%%%%EOF" > "${one#--print-to-pdf=}";; esac; done\n'
    )
    fake.chmod(0o755)
    save_pdf(HTML, tmp_path / "page.pdf", browser=str(fake))
    assert (tmp_path / "page.pdf").read_bytes() == b"%PDF-1.4\n%%EOF"
    arguments = heard.read_text().splitlines()
    assert "--host-resolver-rules=MAP * ~NOTFOUND" in arguments
    profile = next(one for one in arguments if one.startswith("--user-data-dir="))
    assert profile.startswith(f"--user-data-dir={tmp_path}")
    assert arguments[-1].startswith("file://")


def test_what_is_kept_gives_back_the_same_report(run: Path) -> None:
    kept, again = read_page(run), read_page(run)
    assert kept.html("en") == (run / "report.html").read_text(encoding="utf-8")
    first, second = kept.report.results[0], again.report.results[0]
    assert first.summary == second.summary
    assert (first.scores.r == second.scores.r).all()
    assert first.keys["scores"]
    assert kept.report.chain[0].made_from is not None


def test_help_tells_examples_and_exit_codes(cli: Cli) -> None:
    shown = " ".join(cli("page", "--help").out.split())
    assert "brainaligner page runs/demo --language ja" in shown
    assert "130 stopped by the user" in shown
    assert "BRAINALIGNER_LANGUAGE" in shown
