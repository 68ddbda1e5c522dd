"""Every command, found by walking the app: help, JSON, exit codes, colours, completion.

A command that is new fails here until it has examples, ``--json`` and a call of its own in `CALLS`.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from placed_trees import write_atlas, write_placed_tree
from study_trees import Cli, command, environment, save_study, tiny_study
from tuning_trees import tuned_study, tuning
from typer.main import get_command

from brainaligner.data import CONTENTS, READERS, published_dataset
from brainaligner.data._fetch_settings import COPIES
from brainaligner.report import LANGUAGES
from brainaligner.study import _completion, app, load_study, preset_names

ESCAPE = "\x1b["
COLOUR = re.compile("\x1b\\[[0-9;]*(3[0-9]|4[0-9]|9[0-7])[0-9;]*m")
CODES = ("0 all went well", "1 something", "2 bad", "4 the audit", "130 stopped")
pytestmark = pytest.mark.usefixtures("unchecked")  # typer's own Context is not what it announces


def walked(one: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All commands and groups, by their words."""
    yield name, one
    for part, below in getattr(one, "commands", {}).items():
        yield from walked(below, f"{name} {part}".strip())


ALL = dict(walked(get_command(app)))
GIVING = sorted(name for name in ALL if name not in ("", "data"))  # the rest print help


@pytest.fixture(scope="module")
def places(
    finished: Path, checkpoint: Path, sound_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """What the calls need: a run, a study, a folder, a tree with anatomy, an atlas, texts."""
    home = tmp_path_factory.mktemp("places")
    tree = write_placed_tree(home / "tree")
    write_atlas(home)
    sizes = {f"SIM0{i + 1}": n for i, n in enumerate(_sizes(tree))}
    np.savez(home / "values.npz", **{name: np.zeros(n) for name, n in sizes.items()})
    (home / "text.txt").write_text("we walked along\nthe river\n", encoding="utf-8")
    (home / "space.yaml").write_text("features.one.text.layer: {choices: [1, 2]}\n")
    text = {"text": tuning(checkpoint)}
    return {
        "run": shutil.copytree(finished, home / "out") / "tiny",  # a comparison is counted there
        "study": save_study(home / "study.yaml", tiny_study(checkpoint, sound_data)),
        "tuned": save_study(home / "tuned.yaml", tuned_study(checkpoint, sound_data, text)),
        "data": sound_data,
        "tree": tree,
        "atlas": home / "atlas",
        "values": home / "values.npz",
        "text": home / "text.txt",
        "space": home / "space.yaml",
        "model": checkpoint,
    }


def _sizes(tree: Path) -> list[int]:
    from brainaligner.data import open_dataset

    dataset = open_dataset("lebel2023", tree)
    return [dataset.space(subject).size for subject in dataset.subjects]


Call = Callable[[dict[str, Path], Path], tuple[str | Path, ...]]
CALLS: dict[str, Call] = {
    "audit": lambda at, _: (at["run"], "--cheap"),
    "compare": lambda at, _: (at["run"], "--arms", "first", "second"),
    "data ceiling": lambda at, to: (at["tree"], "--reader", "lebel2023", "--to", to / "c.tsv"),
    "data check": lambda at, _: (at["data"],),
    "data flatmap": lambda at, to: (
        *(at["tree"], "--values", at["values"], "--to", to / "maps"),
        *("--by", "fsaverage5", "--subjects", "SIM01"),
    ),
    "data parcels": lambda at, to: (at["tree"], "--atlas", at["atlas"], "--to", to / "p.npz"),
    "data place": lambda at, _: (at["tree"],),
    "data readers": lambda *_: (),
    "data simulate": lambda at, to: (
        *(to / "simulated", "--set", "dataset.simulation.tree.n_voxels=[20]"),
        *("--set", "dataset.simulation.tree.signal=[1.0]"),
        *("--set", f"features.layer4.model={at['model']}", "--set", "features.layer4.text.layer=1"),
    ),
    "demo": lambda _, to: ("--plan", "--out", to),
    "doctor": lambda at, to: ("--data", at["data"], "--out", to),
    "embed": lambda at, to: (at["model"], at["text"], "--to", to / "v.npz"),
    "fetch": lambda _, to: ("lebel2023", "--smoke", "--to", to, "--plan"),
    "init": lambda _, to: (to / "new.yaml", "--yes"),
    "page": lambda at, to: (at["run"], "--language", "ja", "--to", to / "page.html"),
    "recipe": lambda at, _: (at["run"], "first, P1"),
    "run": lambda at, _: (at["study"], "--out", at["run"].parent),
    "search": lambda at, to: (
        *(at["study"], "--space", at["space"], "--arm", "first", "--trials", "1"),
        *("--out", to),
    ),
    "show": lambda at, _: (at["run"],),
    "studies": lambda *_: (),
    "studies show": lambda *_: ("baseline",),
    "sweep": lambda at, to: (at["study"], "--over", "split.seed=[0,1]", "--out", to),
}
ELSEWHERE = ("export", "view")  # their documents are read in the tests below


def document(text: str) -> Any:
    """The one document that a text is; NaN is none."""

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} in JSON")

    return json.loads(text, parse_constant=refuse)


def test_every_command_has_a_call() -> None:
    assert sorted([*CALLS, *ELSEWHERE]) == GIVING


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_help_has_examples_and_exit_codes(cli: Cli, name: str) -> None:
    done = cli(*name.split(), "--help")
    assert done.code == 0
    assert "Example" in done.out
    said = " ".join(done.out.split())
    assert f"brainaligner {name}".strip() in said
    assert [code for code in CODES if code not in said] == []
    assert ESCAPE not in done.out
    assert max(map(len, done.out.splitlines())) <= 100


@pytest.mark.parametrize("name", GIVING)
def test_every_command_has_json(name: str) -> None:
    options = {option for parameter in ALL[name].params for option in parameter.opts}
    assert "--json" in options


@pytest.mark.parametrize("name", ["run", "demo", "sweep", "search", "fetch"])
def test_what_is_long_has_a_plan(name: str) -> None:
    options = {option for parameter in ALL[name].params for option in parameter.opts}
    assert "--plan" in options


@pytest.mark.parametrize("name", sorted(CALLS))
def test_every_result_is_one_json_document(
    cli: Cli, places: dict[str, Path], tmp_path: Path, name: str
) -> None:
    done = cli(*name.split(), *CALLS[name](places, tmp_path), "--json")
    assert done.code == 0, done.err
    assert document(done.out) not in ([], {}, None)
    assert ESCAPE not in done.out + done.err


def test_the_explorer_gives_its_address_as_json(places: dict[str, Path]) -> None:
    with subprocess.Popen(
        command("view", places["run"], "--no-browser", "--json"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    found = document("".join(lines))
    assert found["address"].startswith("http://127.0.0.1:")
    assert found["study"] == "tiny"


def test_an_export_is_one_json_document(cli: Cli, places: dict[str, Path], tmp_path: Path) -> None:
    ran = cli("run", places["tuned"], "--out", tmp_path / "out", "--json")
    assert ran.code == 0, ran.err
    assert document(ran.out)["study"] == "tuned"
    asked = ("--arm", "text", "--subject", "P1", "--to", tmp_path / "model", "--json")
    done = cli("export", tmp_path / "out" / "tuned", *asked)
    assert done.code == 0, done.err
    assert document(done.out)["models"][0]["folder"] == str(tmp_path / "model")


def test_a_plan_of_a_sweep_prices_what_is_shared_once(
    cli: Cli, places: dict[str, Path], tmp_path: Path
) -> None:
    asked = ("sweep", places["study"], "--over", "split.seed=[0,1]", "--out", tmp_path, "--plan")
    first, second = document(cli(*asked, "--json").out)["variants"]
    kinds = [[stage["stage"] for stage in one["stages"]] for one in (first, second)]
    assert kinds[0].count("features") == 2
    assert "features" not in kinds[1]
    assert "readout" in kinds[1]
    shown = cli(*asked).out
    assert first["study"] in shown
    assert not list(tmp_path.iterdir())


def test_a_packaged_study_as_json_is_a_study_file(cli: Cli, tmp_path: Path) -> None:
    for number, words in enumerate(
        (("studies", "show", "baseline", "--json"), ("studies", "--json", "show", "baseline"))
    ):
        path = tmp_path / f"{number}.yaml"
        path.write_text(cli(*words).out, encoding="utf-8")
        assert document(path.read_text(encoding="utf-8"))["name"] == "baseline"
        assert load_study(str(path)) == load_study("baseline")


def test_a_sweep_gives_its_ranking(cli: Cli, places: dict[str, Path], tmp_path: Path) -> None:
    over = ("--over", "split.seed=[0,1]", "--out", tmp_path)
    found = document(cli("sweep", places["study"], *over, "--json").out)
    assert Path(found["ranking"]).is_file()
    rows = Path(found["ranking"]).read_text(encoding="utf-8").splitlines()[1:]
    assert [one["arm"] for one in found["ranked"]] == [row.split("\t")[0] for row in rows]
    assert {one["values"]["split.seed"] for one in found["ranked"]} == {"0", "1"}


MISSPELLED: dict[str, tuple[Call, str]] = {
    "command": (lambda *_: ("comapre",), "'compare'"),
    "command on data": (lambda *_: ("data", "plce"), "'place'"),
    "option": (lambda *_: ("run", "baseline", "--validaton"), "--validation"),
    "packaged study": (lambda *_: ("run", "baselin"), "'baseline'"),
    "study to show": (lambda *_: ("studies", "show", "baselin"), "'baseline'"),
    "run": (lambda at, _: ("show", at["run"].parent / "tny"), "tiny'"),
    "arm": (lambda at, _: ("compare", at["run"], "--arms", "first", "secnd"), "'second'"),
    "arm of a search": (
        lambda at, _: (
            *("search", at["study"], "--space", at["space"], "--arm", "frist"),
            *("--trials", "1", "--plan"),
        ),
        "'first'",
    ),
    "group": (
        lambda at, _: ("compare", at["run"], "--arms", "first", "second", "--group", "tets"),
        "'test'",
    ),
    "number": (lambda at, _: ("recipe", at["run"], "frist"), "'first'"),
    "subject": (
        lambda at, _: ("run", at["study"], "--plan", "--set", "dataset.subjects=[P11]"),
        "'P1'",
    ),
    "story": (
        lambda at, _: (
            *("run", at["study"], "--plan", "--set"),
            "split={train: [appel], validation: [birch], test: [cedar]}",
        ),
        "'apple'",
    ),
    "key": (lambda at, _: ("run", at["study"], "--plan", "--set", "nam=x"), "'name'"),
    "nested key": (lambda at, _: ("run", at["study"], "--plan", "--set", "split.sed=1"), "'seed'"),
    "entry": (
        lambda at, _: ("run", at["study"], "--plan", "--set", "arms.frist.design.delays=[1]"),
        "'first'",
    ),
    "reader": (lambda at, _: ("data", "check", at["data"], "--reader", "foldr"), "'folder'"),
    "reader of a new study": (
        lambda _, to: ("init", to / "x.yaml", "--reader", "foldr", "--yes"),
        "'folder'",
    ),
    "device": (lambda at, _: ("run", at["study"], "--device", "cup"), "'cpu'"),
    "dataset": (lambda _, to: ("fetch", "lebel2032", "--to", to), "'lebel2023'"),
}


@pytest.mark.parametrize("kind", sorted(MISSPELLED))
def test_a_slip_is_answered_with_the_nearest_name(
    cli: Cli, places: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    call, nearest = MISSPELLED[kind]
    done = cli(*call(places, tmp_path))
    assert done.code == 2
    assert nearest in done.lines[-1]
    assert done.out == ""


def test_a_new_arm_may_still_be_set(cli: Cli, places: dict[str, Path], tmp_path: Path) -> None:
    sets = ("--set", "arms.thrid.features=[one]", "--out", tmp_path)
    assert cli("run", places["study"], "--plan", *sets).code == 0


def test_exit_codes(cli: Cli, places: dict[str, Path], out: Path, tmp_path: Path) -> None:
    assert cli("show", places["run"]).code == 0
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert cli("doctor", "--out", tmp_path / "file" / "x").code == 1
    assert cli("show", tmp_path).code == 2
    record = json.loads((out / "tiny" / "run.json").read_text(encoding="utf-8"))
    record["audit"] |= {"verdict": "FAIL", "reason": "planted"}
    (out / "tiny" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    failed = cli("compare", out / "tiny", "--arms", "first", "second", "--json")
    assert failed.code == 4
    assert document(failed.out)["not_valid"] == "planted"


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
    places: dict[str, Path], tmp_path: Path, more: dict[str, str], coloured: bool
) -> None:
    error, code = in_terminal(["show", "nothing"], tmp_path, more)
    assert code == 2
    assert bool(COLOUR.search(error)) is coloured
    table, code = in_terminal(["show", places["run"]], tmp_path, more)
    assert code == 0
    assert bool(COLOUR.search(table)) is coloured


@pytest.mark.parametrize(
    ("more", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_a_file_gets_colours_only_where_they_are_forced(
    places: dict[str, Path], tmp_path: Path, more: dict[str, str], coloured: bool
) -> None:
    clean = {k: v for k, v in environment().items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    kept = clean | {"TERM": "xterm-256color"} | more

    def said(*words: str | Path) -> tuple[str, str]:
        done = subprocess.run(
            command(*words), env=kept, capture_output=True, text=True, check=False
        )
        return done.stdout, done.stderr

    assert bool(COLOUR.search(said("show", "nothing")[1])) is coloured
    assert bool(COLOUR.search(said("show", places["run"])[0])) is coloured
    assert ESCAPE not in said("show", "--help")[0]
    assert ESCAPE not in said("show", places["run"], "--json")[0]
    _, progress = said("data", "check", places["data"])
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


def test_the_shell_is_offered_names(places: dict[str, Path], tmp_path: Path) -> None:
    run, study, data = (places[name] for name in ("run", "study", "data"))
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
    monkeypatch: pytest.MonkeyPatch, places: dict[str, Path]
) -> None:
    monkeypatch.setenv("COMP_WORDS", f"brainaligner run {places['study']} --set ")
    monkeypatch.delenv("_TYPER_COMPLETE_ARGS", raising=False)
    study = yaml.safe_load(places["study"].read_text(encoding="utf-8"))
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
