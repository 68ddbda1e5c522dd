"""What the command line shows."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from study_trees import Cli, StudyFile, command, environment, run_process

from brainaligner import __version__
from brainaligner.study import _cli, preset_names
from brainaligner.study._progress import PlainReporter, reporting


def test_help_has_examples_and_exit_codes(cli: Cli) -> None:
    assert "Exit codes" in cli("--help").out
    for parts in (["run"], ["demo"], ["show"], ["data", "check"], ["doctor"], ["data", "simulate"]):
        done = cli(*parts, "--help")
        assert done.code == 0
        assert "Example" in done.out
        assert f"brainaligner {' '.join(parts)}" in done.out


@pytest.mark.usefixtures("unchecked")  # typer's own Context is not what it announces
def test_version_and_list_of_studies(cli: Cli) -> None:
    assert cli("--version").out == f"brainaligner {__version__}\n"
    listed = json.loads(cli("studies", "--json").out)
    assert sorted(listed) == list(preset_names())
    assert all(name in cli("studies").out for name in preset_names())


@pytest.mark.usefixtures("unchecked")  # typer's own Context is not what it announces
def test_a_packaged_study_can_be_copied_and_changed(cli: Cli, tmp_path: Path) -> None:
    shown = cli("studies", "show", "baseline")
    assert shown.code == 0
    (tmp_path / "my.yaml").write_text(shown.out, encoding="utf-8")
    done = cli("run", tmp_path / "my.yaml", "--out", tmp_path / "out")
    assert done.code == 2
    assert "no data folder" in done.lines[-1]


def test_show_prints_the_table_in_80_columns(cli: Cli, finished: Path) -> None:
    done = cli("show", finished / "tiny")
    assert done.code == 0
    table = [line for line in done.out.splitlines() if line.startswith(("┃", "│", "┏", "└"))]
    assert table
    assert max(map(len, table)) <= 80
    for word in ("first", "second", "P1", "P2", "rows cut at each end"):
        assert word in done.out


def test_show_json_is_strict_json(cli: Cli, finished: Path, tmp_path: Path) -> None:
    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} in JSON")

    found = json.loads(cli("show", finished / "tiny", "--json").out, parse_constant=refuse)
    assert {row["arm"] for row in found["results"]} == {"first", "second"}
    assert found["recipes"]
    (tmp_path / "moved").mkdir()
    shutil.copy(finished / "tiny" / "run.json", tmp_path / "moved")
    assert cli("show", tmp_path / "moved").code == 0


def test_the_verdict_is_said_on_the_screen_in_the_record_and_first_on_the_page(
    cli: Cli, finished: Path
) -> None:
    record = json.loads((finished / "tiny" / "run.json").read_text(encoding="utf-8"))
    contrasts = record["contrasts"]
    reference = contrasts[0]["reference"]
    (other,) = {"first", "second"} - {reference}
    better = sum((one["interval_low"] or 0) > 0 for one in contrasts)
    worse = sum((one["interval_high"] or 0) < 0 for one in contrasts)
    (line,) = record["verdict"]["lines"]
    assert line.startswith(f"{other}: ")
    assert reference in line
    whole = {(2, 0): "better than", (0, 2): "worse than", (0, 0): "no difference from"}
    assert whole.get((better, worse), f"in {better} of 2 subjects") in line
    assert f"verdict: {line}" in cli("show", finished / "tiny").out
    page = (finished / "tiny" / "report.html").read_text(encoding="utf-8")
    assert page.index(line) < page.index("<h2") + 500


def test_equal_remarks_are_shown_once(cli: Cli, finished: Path) -> None:
    out = cli("show", finished / "tiny").out
    assert out.count("fewer than 8 stories") == 1
    assert "and 7 more" in out


def test_doctor_says_what_is_there(cli: Cli, sound_data: Path, tmp_path: Path) -> None:
    done = cli("doctor", "--data", sound_data, "--out", tmp_path / "new", "--json")
    assert done.code == 0, done.out
    found = {row["topic"]: row for row in json.loads(done.out)}
    assert found["dataset folder"]["found"] == "2 subjects, 6 stories"
    assert found["brainaligner"]["found"] == __version__
    assert found["model embedded"]["verdict"] == "ok"
    assert not (tmp_path / "new").exists()
    assert "no reader recognises" in cli("doctor", "--data", tmp_path).out
    (tmp_path / "file").write_text("")
    failed = cli("doctor", "--out", tmp_path / "file" / "x", "--json")
    assert failed.code == 1
    assert "cannot be written" in failed.out


def test_data_check_of_a_sound_folder(cli: Cli, sound_data: Path) -> None:
    done = cli("data", "check", sound_data)
    assert done.code == 0
    assert "P1: 6 stories, 288 rows, 6 voxels" in done.out
    assert json.loads(cli("data", "check", sound_data, "--json").out)["problems"] == []
    assert "lebel2023" in cli("data", "readers").out


def test_data_check_of_a_faulty_folder_says_all_at_once(cli: Cli, data: Path) -> None:
    lines = (data / "words.csv").read_text().splitlines()
    (data / "words.csv").write_text("\n".join([*lines, "fig,late,900,901", "apple,early,1,2"]))
    (data / "P2.npz").write_bytes(b"nothing")
    done = cli("data", "check", data)
    assert done.code == 2
    assert all(name in done.out for name in ("fig", "early", "P2.npz"))
    assert done.lines[-1].startswith("error: ")
    found = cli("data", "check", data, "--json")
    assert found.code == 2
    assert {row["severity"] for row in json.loads(found.out)["problems"]} >= {"error"}


def test_a_damaged_artifact_says_which_and_what_to_do(
    cli: Cli, study_file: StudyFile, out: Path
) -> None:
    (victim,) = list((out / "store" / "scores").glob("*/scores.npz"))[:1]
    victim.write_bytes(b"PK")
    done = cli("run", study_file(), "--out", out)
    assert done.code == 1
    assert f"error: {victim}: damaged artifact" in done.lines[-1]
    shutil.rmtree(victim.parent)
    assert cli("run", study_file(), "--out", out).code == 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "/proc/a.npz"), "/proc/a.npz: No such"),
        (OSError(errno.ENOSPC, "No space left"), "reading or writing: No space left"),
    ],
)
def test_what_the_system_answers_is_one_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    _fail_with(monkeypatch, error)
    done = cli("doctor")
    assert (done.code, len(done.lines)) == (1, 1)
    assert done.err.startswith(f"error: {said}")


def test_faults_of_the_program_keep_their_traceback(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (KeyError("a bug"), OSError("without a number, as libraries raise it")):
        _fail_with(monkeypatch, error)
        with pytest.raises(type(error)):
            cli("doctor")
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    _fail_with(monkeypatch, OSError(errno.ENOSPC, "No space left"))
    with pytest.raises(OSError, match="No space"):
        cli("doctor")


def _fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def app(**_: str) -> None:
        raise error

    monkeypatch.setattr(_cli, "app", app)


def test_plain_lines_come_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Iterator[float] = iter([0.0, 4.0, 11.0, 15.0, 22.0, 30.0, 31.0])
    monkeypatch.setattr("brainaligner.study._progress.time.monotonic", lambda: next(clock))
    lines: list[str] = []
    reporter = PlainReporter(lines.append)
    for done in range(1, 6):
        reporter("loop", done, 5)
    assert [line.split(" ", 2)[2] for line in lines] == ["loop: 3/5", "loop: 5/5"]
    reporter("loop", 1, 2)
    assert len(lines) == 2


def test_a_terminal_gets_a_bar_and_the_log_plain_lines(tmp_path: Path) -> None:
    written = StringIO()
    screen = Console(file=written, force_terminal=True, width=80)
    with reporting(tmp_path / "log.txt", console=screen) as reporter:
        reporter("loop [red]", 1, 2)
        reporter("loop [red]", 2, 2)
        reporter.line("done with [bold]x[/nothing]")
    shown = written.getvalue()
    assert "done with [bold]x[/nothing]" in shown
    assert "done with [bold]x[/nothing]" in (tmp_path / "log.txt").read_text()


def test_a_terminal_without_unicode_is_no_error(finished: Path) -> None:
    ascii_only = environment() | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(
        command("show", finished / "tiny"), env=ascii_only, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"first" in done.stdout


def test_asking_for_help_is_quick_and_loads_no_torch() -> None:
    code = "import sys; from brainaligner.study import main; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert run_process("--version").out == f"brainaligner {__version__}\n"
