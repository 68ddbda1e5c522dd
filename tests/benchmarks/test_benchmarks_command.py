"""`python -m benchmarks`: runs each once, keeps what it found, draws nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import benchmarks.__main__ as command
from benchmarks import _run, _table
from benchmarks._peers import IMPORTED, PINS, peer_versions
from benchmarks._plot import draw
from benchmarks._table import CHECKOUTS, PEERS, SCRIPTS, SIZES, Benchmark, Script
from benchmarks._ways import WAYS, Way, summary

ROOT = Path(__file__).resolve().parents[2]
ONE = ("ridge-minute", "--turns", "1", "--peer-python", sys.executable)
FAKE = """
import json, pathlib, sys
counter = pathlib.Path(__file__).with_suffix(".count")
counter.write_text(str(int(counter.read_text()) + 1 if counter.exists() else 1))
turns = int(sys.argv[sys.argv.index("--turns") + 1])
if pathlib.Path(__file__).with_suffix(".broken").exists():
    raise SystemExit("the disk is on fire")
print(json.dumps({"seconds": turns}))
if pathlib.Path(__file__).with_suffix(".partly").exists():
    raise SystemExit("one peer is lost")
"""


def start(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as a user types it, in the repository's root."""
    line = [sys.executable, "-m", "benchmarks", "--out", str(out), *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


def recorded(out: Path) -> dict[str, Any]:
    """What stands in the file of results."""
    found: dict[str, Any] = json.loads((out / "benchmarks.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with one ridge that was measured, and what the command printed."""
    out = tmp_path_factory.mktemp("benchmarks")
    done = start(out, *ONE)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


@pytest.mark.long
def test_one_ridge_is_measured_beside_its_peers(finished: tuple[Path, str]) -> None:
    out, printed = finished
    entry = recorded(out)["benchmarks"]["ridge-minute"]
    solvers = entry["result"]["solvers"]
    assert {*solvers} == {"brainaligner", "products", "himalaya", "scikit-learn"}
    for name in ("brainaligner", "himalaya", "scikit-learn"):
        assert solvers[name]["difference_in_r"] < 1e-4
    assert {*entry["left_out"]} == {*CHECKOUTS}
    assert entry["settings"]["peers"] == peer_versions(sys.executable)
    for name in solvers:
        assert re.search(rf"^ridge-minute  {name} +[\d.]+ +[\d.]+ +[\d,]+$", printed, re.M), name
    assert "left out: huth: no checkout of HuthLab/deep-fMRI-dataset" in printed
    assert not (out / "peers").exists()
    assert not (out / "work").exists()


@pytest.mark.long
def test_the_machine_is_measured_before_and_after(finished: tuple[Path, str]) -> None:
    (run,) = recorded(finished[0])["runs"]
    assert run["benchmarks"] == ["ridge-minute"]
    assert run["machine"]["cores"] >= 1
    for when in ("before", "after"):
        for kind in ("float32_gflops", "float64_gflops"):
            assert all(0 < rate["median"] <= rate["best"] for rate in run[when][kind].values())
        assert run[when]["copy_gb_per_s"]["best"] > 0
        assert run[when]["disk_read_mib_per_s"]["best"] > 0


@pytest.mark.long
def test_the_figure_shows_what_was_measured_and_nothing_else(finished: tuple[Path, str]) -> None:
    svg = (finished[0] / "benchmarks.svg").read_text(encoding="utf-8")
    for said in ("SIMULATED", "himalaya", "scikit-learn", "bare products", "2,000 rows"):
        assert said in svg
    for absent in ("Huth", "LITcoder", "ridge-laptop", "ridge-story"):
        assert absent not in svg
    solvers = recorded(finished[0])["benchmarks"]["ridge-minute"]["result"]["solvers"]
    for found in solvers.values():
        assert f"{found['ratio']:.2f}" in svg
        assert f"{found['peak_mib']:,.0f}" in svg


@pytest.mark.long
def test_a_finished_benchmark_is_not_run_again(finished: tuple[Path, str]) -> None:
    out, _ = finished
    before = recorded(out)
    done = start(out, *ONE)
    assert done.returncode == 0
    assert "ridge-minute: finished before" in done.stdout
    assert recorded(out) == before


def test_a_peer_that_fails_loses_no_other(tmp_path: Path) -> None:
    huth = tmp_path / CHECKOUTS["huth"]
    huth.parent.mkdir(parents=True)
    huth.write_text("raise ImportError('no such ridge')", encoding="utf-8")
    line = ["--size", "minute", "--turns", "1", "--peer", f"huth={tmp_path}"]
    script = ROOT / "benchmarks" / "ridge.py"
    done = subprocess.run(
        [sys.executable, str(script), *line], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert {*found["solvers"]} == {"brainaligner", "products"}
    assert "no such ridge" in found["failed"]["huth"]


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A size of two scripts that count how often they are run."""
    scripts = {name: tmp_path / name for name in ("one", "two")}
    for path in scripts.values():
        path.with_suffix(".py").write_text(FAKE, encoding="utf-8")
        monkeypatch.setitem(SCRIPTS, str(path), Script(threads=False))
        monkeypatch.setitem(WAYS, str(path), lambda result: [Way("ours", result["seconds"])])
    table = {name: Benchmark(str(path)) for name, path in scripts.items()}
    monkeypatch.setitem(SIZES, "fake", table)
    monkeypatch.setattr(_run, "HERE", tmp_path)
    (tmp_path / "machine.py").write_text("print('{}')", encoding="utf-8")
    return {name: path.with_suffix(".count") for name, path in scripts.items()}


def test_an_error_is_said_and_loses_nothing_else(
    fakes: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--size", "fake", "--out", str(tmp_path / "out")]
    broken = tmp_path / "one.broken"
    broken.touch()
    assert command.main(words) == 1
    printed = capsys.readouterr().out
    assert "the disk is on fire" in printed
    assert "failed: one;" in printed
    entries = recorded(tmp_path / "out")["benchmarks"]
    assert "result" not in entries["one"]
    assert entries["two"]["result"] == {"seconds": 3}
    assert not (tmp_path / "out" / "benchmarks.svg").exists()

    broken.unlink()
    assert command.main(words) == 0
    assert {name: path.read_text() for name, path in fakes.items()} == {"one": "2", "two": "1"}
    assert [run["benchmarks"] for run in recorded(tmp_path / "out")["runs"]] == [
        ["one", "two"],
        ["one"],
    ]


def test_what_a_partly_broken_script_found_is_kept_and_it_runs_again(
    fakes: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--size", "fake", "--out", str(tmp_path / "out"), "one"]
    (tmp_path / "one.partly").touch()
    assert command.main(words) == 1
    printed = capsys.readouterr().out
    assert "one peer is lost" in printed
    assert re.search(r"^one +ours +3$", printed, re.M)
    (tmp_path / "one.partly").unlink()
    assert command.main(words) == 0
    assert fakes["one"].read_text() == "2"


def test_what_was_asked_otherwise_is_run_again(fakes: dict[str, Path], tmp_path: Path) -> None:
    words = ["--size", "fake", "--out", str(tmp_path / "out")]
    assert command.main(words) == 0
    assert command.main([*words, "two", "--turns", "5"]) == 0
    assert {name: path.read_text() for name, path in fakes.items()} == {"one": "1", "two": "2"}
    entries = recorded(tmp_path / "out")["benchmarks"]
    assert [entries[name]["result"]["seconds"] for name in ("one", "two")] == [3, 5]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ridge-minut"], r"no benchmark called 'ridge-minut'.*did you mean 'ridge-minute'"),
        (["ridge-wide"], r"no benchmark called 'ridge-wide' at --size minute"),
        (["--turns", "0"], r"--turns: '0' is no whole number of 1 or more"),
        (["--threads", "-1"], r"--threads: '-1' is no whole number"),
        (["--size", "huge"], r"--size: invalid choice: 'huge'"),
        (["--peer", "huth={tmp}"], r"no encoding/ridge_utils/ridge.py in .*give a checkout"),
        (["--peer", "litcoder={tmp}"], r"no encoding/models/ridge_regression.py in "),
        (["--peer", "huth"], r"wanted is NAME=FOLDER with one of huth, litcoder"),
        (["--peer", "himalaya={tmp}"], r"wanted is NAME=FOLDER"),
        (["--peer-python", "{tmp}/python"], r"does not start"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.format(tmp=tmp_path) for word in words]
    with pytest.raises(SystemExit) as stopped:
        command.main([*given, "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert re.search(said, capsys.readouterr().err, re.S)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "was not written by this command"),
        ('{"a": 1}', "was not written by this command"),
        (
            '{"simulated": true, "size": "real", "runs": [], "benchmarks": {}}',
            "holds results of --size real",
        ),
    ],
)
def test_results_of_another_kind_are_not_overwritten(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "benchmarks.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit):
        command.main(["--out", str(tmp_path)])
    assert said in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == content


def test_a_python_without_the_peers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    with pytest.raises(SystemExit):
        command.main(
            ["--peer-python", str(bare / "bin" / "python"), "--out", str(tmp_path / "out")]
        )
    assert "does not have all of himalaya" in capsys.readouterr().err


def test_pins_are_those_of_the_constraints() -> None:
    pins, constraints = (
        dict(re.findall(r"^([\w.-]+)==(\S+)$", path.read_text(encoding="utf-8"), re.M))
        for path in (PINS, ROOT / "constraints.txt")
    )
    assert {*IMPORTED} <= {*pins}
    shared = {*pins} & {*constraints}
    assert {name: pins[name] for name in shared} == {name: constraints[name] for name in shared}


@pytest.mark.parametrize("size", SIZES)
def test_every_benchmark_of_the_table_can_be_run(size: str) -> None:
    for benchmark in SIZES[size].values():
        assert benchmark.path.is_file()
        assert benchmark.script in SCRIPTS
        assert {peer.removesuffix(_table.DOUBLE) for peer in benchmark.peers} <= {*PEERS}
    assert {*WAYS} == {*SCRIPTS}


def test_a_way_without_a_value_has_no_dot(tmp_path: Path) -> None:
    ways = [Way("brainaligner", 1.0, 1.0, 123.0), Way("huth", 2.0, 2.0)]
    draw({"ridge-minute": ways}, {"ridge-minute": "9 rows"}, tmp_path / "figure.svg")
    svg = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert len(re.findall(r">(1\.00|2\.00|123)<", svg)) == 3
    assert re.search(r"^a +huth +2 +2\.00$", summary([("a", ways)]), re.M)
