"""Commands at a terminal and in a shell: questions, colours, completion."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from command_trees import ESCAPE
from study_trees import command, environment

from brainaligner.data import CONTENTS, READERS, published_dataset
from brainaligner.data._fetch_settings import COPIES
from brainaligner.report import LANGUAGES
from brainaligner.study import _completion, preset_names

COLOUR = re.compile("\x1b\\[[0-9;]*(3[0-9]|4[0-9]|9[0-7])[0-9;]*m")
pytestmark = pytest.mark.usefixtures("unchecked")  # typer's own Context is not what it announces


@pytest.mark.parametrize("words", [("init",), ("fetch", "lebel2023", "--smoke", "--to", "x")])
def test_the_end_of_the_input_is_no_answer(words: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(
        command(*words), env=environment(), cwd=tmp_path, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "got the end of the input; wanted an answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_ctrl_c_at_a_question_exits_with_130(tmp_path: Path) -> None:
    shown, code = in_terminal(["init"], tmp_path, {}, keys="\x03", wait_for="File to write")
    assert code == 130, shown
    assert not list(tmp_path.iterdir())


def in_terminal(
    words: list[str | Path], cwd: Path, more: dict[str, str], *, keys: str = "", wait_for: str = ""
) -> tuple[str, int]:
    """Run a command on a terminal of its own; what it showed, and its exit code."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        kept = {k: v for k, v in environment().items() if k not in ("NO_COLOR", "FORCE_COLOR")}
        os.execve(sys.executable, command(*words), kept | {"TERM": "xterm-256color"} | more)
    shown, sent, until = "", not keys, time.monotonic() + 120
    while time.monotonic() < until:
        silent = not select.select([terminal], [], [], 10.0)[0]
        if silent and sent and keys:  # nothing came of it: a key can be too early
            os.write(terminal, keys.encode())
        if silent:
            continue
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # the other side has closed
            break
        if not part:
            break
        shown += part.decode(errors="replace")
        if not sent and wait_for in shown:
            os.write(terminal, keys.encode())
            sent = True
    else:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return shown, os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize(
    ("more", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_shows_colours_unless_told_otherwise(
    command_places: dict[str, Path], tmp_path: Path, more: dict[str, str], coloured: bool
) -> None:
    error, code = in_terminal(["show", "nothing"], tmp_path, more)
    assert code == 2
    assert bool(COLOUR.search(error)) is coloured
    table, code = in_terminal(["show", command_places["run"]], tmp_path, more)
    assert code == 0
    assert bool(COLOUR.search(table)) is coloured


@pytest.mark.parametrize(
    ("more", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_a_file_gets_colours_only_where_they_are_forced(
    command_places: dict[str, Path], tmp_path: Path, more: dict[str, str], coloured: bool
) -> None:
    clean = {k: v for k, v in environment().items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    kept = clean | {"TERM": "xterm-256color"} | more

    def said(*words: str | Path) -> tuple[str, str]:
        done = subprocess.run(
            command(*words), env=kept, capture_output=True, text=True, check=False
        )
        return done.stdout, done.stderr

    assert bool(COLOUR.search(said("show", "nothing")[1])) is coloured
    assert bool(COLOUR.search(said("show", command_places["run"])[0])) is coloured


@pytest.mark.long
def test_colours_that_are_forced_reach_no_help_json_or_bar(command_places: dict[str, Path]) -> None:
    def said(*words: str | Path) -> tuple[str, str]:
        done = subprocess.run(
            command(*words), env=environment() | {"TERM": "xterm-256color", "FORCE_COLOR": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout, done.stderr

    assert ESCAPE not in said("show", "--help")[0]
    assert ESCAPE not in said("show", command_places["run"], "--json")[0]
    _, progress = said("data", "check", command_places["data"])
    assert "\x1b[?25l" not in progress  # no bar, whatever is said of colours


def offered(line: str, cwd: Path) -> list[str]:
    """What bash is told where the line stands before Tab."""
    asked = {"_BRAINALIGNER_COMPLETE": "complete_bash", "COMP_WORDS": line}
    asked |= {"COMP_CWORD": str(len(line.split(" ")) - 1)}
    code = "from brainaligner.study import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment() | asked, cwd=cwd,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


def test_the_shell_is_offered_names(command_places: dict[str, Path], tmp_path: Path) -> None:
    run, study, data = (command_places[name] for name in ("run", "study", "data"))
    wanted = {
        "brainaligner comp": ["compare"],
        "brainaligner run report-table1": ["report-table1", "report-table1-hrf"],
        "brainaligner studies show al": ["alice"],
        f"brainaligner show {run.parent}/t": [str(run)],
        f"brainaligner compare {run} --arms ": ["first", "second"],
        f"brainaligner compare {run} --group ": ["test"],
        f"brainaligner export {run} --subject ": ["P1", "P2"],
        f"brainaligner search {study} --arm s": ["second"],
        f"brainaligner run {study} --set split.": ["split.counts="],
        f"brainaligner data ceiling {data} --subjects P1,": ["P1,P2"],
        "brainaligner data check x --reader lebel2023-": ["lebel2023-pcs"],
        "brainaligner init --aim ": ["layers", "tune"],
        "brainaligner run baseline --device c": ["cpu", "cuda"],
        "brainaligner fetch l": ["lebel2023"],
        f"brainaligner page {run} --language j": ["ja"],
        f"brainaligner compare {tmp_path} --arms ": [],
    }
    assert {line: offered(line, tmp_path) for line in wanted} == wanted


def test_names_offered_are_those_that_exist() -> None:
    assert sorted(_completion.READERS) == sorted(READERS)
    assert all(published_dataset(name).entries for name in _completion.DATASETS)
    assert sorted(_completion.CONTENTS) == sorted(CONTENTS)
    assert sorted(_completion.COPIES) == sorted(COPIES)
    assert (*LANGUAGES,) == _completion.LANGUAGES
    assert _completion.presets("") == list(preset_names())


def test_damaged_files_are_offered_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.json").write_text('{"results": [3, {"arm": 1}]}', encoding="utf-8")
    monkeypatch.delenv("_TYPER_COMPLETE_ARGS", raising=False)
    for study in ("arms: [unclosed", "arms:\n"):
        (tmp_path / "s.yaml").write_text(study, encoding="utf-8")
        line = f"brainaligner compare {tmp_path} ~nobody/x {tmp_path / 's.yaml'} 'open"
        monkeypatch.setenv("COMP_WORDS", line)
        assert _completion.arms("") == []
        assert _completion.groups("") == []
        assert _completion.subjects("") == []
        assert _completion.runs("~nobody/") == []
    assert _completion.settings("") in ([], ["arms="])


def test_the_dotted_keys_offered_are_those_of_the_file(
    monkeypatch: pytest.MonkeyPatch, command_places: dict[str, Path]
) -> None:
    monkeypatch.setenv("COMP_WORDS", f"brainaligner run {command_places['study']} --set ")
    monkeypatch.delenv("_TYPER_COMPLETE_ARGS", raising=False)
    study = yaml.safe_load(command_places["study"].read_text(encoding="utf-8"))
    offered = _completion.settings("")
    assert offered
    for key in offered:
        place = study
        for part in key.removesuffix("=").split("."):
            assert part in place, key
            place = place[part]


def test_asking_the_shell_loads_no_room_but_core() -> None:
    rooms = "{m for m in sys.modules if m.startswith('brainaligner.') and m.count('.') == 1}"
    code = f"import sys, brainaligner.study; print(sorted({rooms}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['brainaligner.core', 'brainaligner.study']\n"
