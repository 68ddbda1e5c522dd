"""Every command, found by walking the app: help, JSON, misspellings, exit codes.

A command that is new fails here until it has examples, ``--json`` and a call of its own in `CALLS`.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_trees import ESCAPE
from study_trees import Cli, command, environment
from typer.main import get_command

from brainaligner.study import app, load_study

CODES = ("0 all went well", "1 something", "2 bad", "4 the audit", "130 stopped")
pytestmark = pytest.mark.usefixtures("unchecked")  # typer's own Context is not what it announces


def walked(one: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All commands and groups, by their words."""
    yield name, one
    for part, below in getattr(one, "commands", {}).items():
        yield from walked(below, f"{name} {part}".strip())


ALL = dict(walked(get_command(app)))
GIVING = sorted(name for name in ALL if name not in ("", "data"))  # the rest print help
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
    "data reconstruct": lambda at, to: (at["brainlm"], "--stories", "1", "--out", to),
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


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (("data", "check", "~/none"), "none"),
        (("data", "ceiling", "none", "--to=~/taken.tsv"), "taken.tsv"),
        (("data", "parcels", "none", "--atlas=none", "--to=~/taken.npz"), "taken.npz"),
        (("data", "parcels", "none", "--atlas=~/none", "--to=new.npz"), "none"),
        (
            ("data", "parcels", "none", "--atlas=none", "--to=new.npz", "--sphere-left=~/none"),
            "none",
        ),
        (("data", "place", "~/none"), "none"),
        (("data", "simulate", "~/taken.npz"), "taken.npz"),
        (("fetch", "lebel2023", "--to=to", "--manifest=~/none.csv", "--plan"), "none.csv"),
        (("fetch", "lebel2023", "--to=to", "--as=parcels", "--atlas=~/none", "--plan"), "none"),
        (("init", "~/taken.yaml", "--yes"), "taken.yaml"),
    ],
)
def test_a_tilde_is_the_users_folder(
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    place: str,
) -> None:
    """Each is refused for what stands, or does not, in the user's folder, which it names."""
    home = tmp_path / "home"
    for name in ("taken.tsv", "taken.npz", "taken.yaml"):
        (home / name / "full").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    done = cli(*arguments)
    assert done.code == 2
    assert str(home / place) in done.err
    assert sorted(tmp_path.iterdir()) == [home]


def test_a_tilde_of_nobody_is_refused(cli: Cli) -> None:
    done = cli("data", "check", "~nobody-of-this-name/x")
    assert done.code == 2
    assert "~nobody-of-this-name/x: got no such user" in done.err


@pytest.mark.parametrize("name", sorted(CALLS))
def test_every_result_is_one_json_document(
    cli: Cli, command_places: dict[str, Path], tmp_path: Path, name: str
) -> None:
    done = cli(*name.split(), *CALLS[name](command_places, tmp_path), "--json")
    assert done.code == 0, done.err
    assert document(done.out) not in ([], {}, None)
    assert ESCAPE not in done.out + done.err


def test_the_explorer_gives_its_address_as_json(command_places: dict[str, Path]) -> None:
    with subprocess.Popen(
        command("view", command_places["run"], "--no-browser", "--json"),
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


def test_an_export_is_one_json_document(
    cli: Cli, command_places: dict[str, Path], tmp_path: Path
) -> None:
    ran = cli("run", command_places["tuned"], "--out", tmp_path / "out", "--json")
    assert ran.code == 0, ran.err
    assert document(ran.out)["study"] == "tuned"
    asked = ("--arm", "text", "--subject", "P1", "--to", tmp_path / "model", "--json")
    done = cli("export", tmp_path / "out" / "tuned", *asked)
    assert done.code == 0, done.err
    assert document(done.out)["models"][0]["folder"] == str(tmp_path / "model")


def test_a_plan_of_a_sweep_prices_what_is_shared_once(
    cli: Cli, command_places: dict[str, Path], tmp_path: Path
) -> None:
    asked = (
        "sweep",
        command_places["study"],
        "--over",
        "split.seed=[0,1]",
        "--out",
        tmp_path,
        "--plan",
    )
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


def test_a_sweep_gives_its_ranking(
    cli: Cli, command_places: dict[str, Path], tmp_path: Path
) -> None:
    over = ("--over", "split.seed=[0,1]", "--out", tmp_path)
    found = document(cli("sweep", command_places["study"], *over, "--json").out)
    assert Path(found["ranking"]).is_file()
    rows = Path(found["ranking"]).read_text(encoding="utf-8").splitlines()[1:]
    assert [one["arm"] for one in found["ranked"]] == [row.split("\t")[0] for row in rows]
    assert {one["values"]["split.seed"] for one in found["ranked"]} == {"0", "1"}


def test_a_sweep_refuses_several_processes(
    cli: Cli, command_places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    asked = ("sweep", command_places["study"], "--over", "split.seed=[0,1]", "--out", tmp_path)
    for more in ((), ("--plan",)):
        done = cli(*asked, *more)
        assert done.code == 2
        assert "without torchrun" in " ".join(done.err.split())
    assert not list(tmp_path.iterdir())


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
    cli: Cli, command_places: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    call, nearest = MISSPELLED[kind]
    done = cli(*call(command_places, tmp_path))
    assert done.code == 2
    assert nearest in done.lines[-1]
    assert done.out == ""


def test_a_new_arm_may_still_be_set(
    cli: Cli, command_places: dict[str, Path], tmp_path: Path
) -> None:
    sets = ("--set", "arms.thrid.features=[one]", "--out", tmp_path)
    assert cli("run", command_places["study"], "--plan", *sets).code == 0


def test_exit_codes(cli: Cli, command_places: dict[str, Path], out: Path, tmp_path: Path) -> None:
    assert cli("show", command_places["run"]).code == 0
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert cli("doctor", "--out", tmp_path / "file" / "x").code == 1
    assert cli("show", tmp_path).code == 2
    record = json.loads((out / "tiny" / "run.json").read_text(encoding="utf-8"))
    record["audit"] |= {"verdict": "FAIL", "reason": "planted"}
    (out / "tiny" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    failed = cli("compare", out / "tiny", "--arms", "first", "second", "--json")
    assert failed.code == 4
    assert document(failed.out)["not_valid"] == "planted"
