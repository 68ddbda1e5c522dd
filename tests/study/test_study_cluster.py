"""Studies on a cluster: the same bytes as in one process, whatever happens to the workers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from cluster_trees import JOBS, TWO, save_cluster
from study_trees import Cli, artifacts, command, environment, merged, run_process, save_study
from tuning_trees import save_listeners, tuned_study, tuning

from brainaligner.study import RunOptions, load_study
from brainaligner.study._cluster_config import read_cluster
from brainaligner.study._cluster_jobs import job_scripts, worker_specs
from brainaligner.study._lay_out import lay_out_study
from brainaligner.study._units import study_units

SUBJECTS = ("UTS01", "UTS02")


@pytest.fixture(scope="module")
def study(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tunings with folds and selected voxels, reduced rank and a plain arm."""
    folder = tmp_path_factory.mktemp("cluster")
    data = save_listeners(folder / "data", SUBJECTS)
    tunings = {
        "all": tuning(checkpoint, "all", cross_fit=2, aligner={"epochs": 3, "batch": 4}),
        "text": tuning(checkpoint, cross_fit=2),
    }
    split = {"train": ["apple", "birch", "cedar", "daisy"], "validation": ["elder"]}
    more = {
        "split": split | {"test": ["fig"], "test_repeated": None},
        "dataset": {"subjects": [*SUBJECTS]},
        "arms": {"rank": {"features": ["plain"], "reduced_rank": {"rank": [2], "alpha": [100.0]}}},
    }
    content = merged(tuned_study(checkpoint, data, tunings), more)
    return save_study(folder / "study.yaml", content)


@pytest.fixture(scope="module")
def alone(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of it."""
    out = tmp_path_factory.mktemp("alone") / "out"
    done = run_process("run", study, "--out", out, "--threads", "1")
    assert done.code in (0, 4), done.err
    return out


def _assert_same(found: Path, wanted: Path) -> None:
    for name in ("scores.npz", "table.tsv", "study.yaml"):
        assert (found / "tuned" / name).read_bytes() == (wanted / "tuned" / name).read_bytes()
    made = [{n.rpartition("/")[0] for n in artifacts(out)} for out in (found, wanted)]
    assert {n for n in made[0] ^ made[1] if "tensorboard" not in n} == set()


def _start(study: Path, out: Path, cluster: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("run", study, "--out", out, "--cluster", cluster),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _workers(client: subprocess.Popen[str]) -> list[psutil.Process]:
    """Processes that nannies have started."""
    try:
        children = psutil.Process(client.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def test_scores_equal_those_of_one_process(study: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run_process("run", study, "--out", out, "--cluster", save_cluster(tmp_path))
    assert done.code in (0, 4), done.err
    _assert_same(out, alone)
    assert "tuning all, UTS02, seed 0, fold 2 of 2: " in done.err
    assert "scores, table and page: " in done.err


@pytest.mark.long
def test_what_is_in_the_store_is_not_made_again(study: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(alone, out)
    plan, store = lay_out_study(load_study(str(study)), RunOptions(out))
    victim = study_units(plan)["fit text, UTS02"]
    shutil.rmtree(store.path(victim.makes[0]))
    done = run_process("run", study, "--out", out, "--cluster", save_cluster(tmp_path))
    assert done.code in (0, 4), done.err
    made = [line.split(" ", 2)[2] for line in done.err.splitlines() if line.endswith(" s")]
    assert [line.split(":")[0] for line in made] == [victim.words, "scores, table and page"]
    _assert_same(out, alone)


@pytest.mark.long
def test_killed_workers_cost_nothing_that_was_finished(
    study: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    client = _start(study, out, save_cluster(tmp_path))
    killed = 0
    while client.poll() is None and killed < 3:
        time.sleep(2.5)
        for worker in _workers(client)[:1]:
            worker.kill()
            killed += 1
    _, err = client.communicate(timeout=300)
    assert client.returncode in (0, 4), err
    assert killed == 3
    _assert_same(out, alone)


@pytest.mark.long
def test_a_unit_that_loses_too_many_workers_is_one_clear_error(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    client = _start(study, out, save_cluster(tmp_path, TWO + "retries: 0\n"))
    while client.poll() is None:
        time.sleep(0.5)
        if (out / "store" / "features").exists():
            for worker in _workers(client):
                worker.kill()
    _, err = client.communicate(timeout=300)
    assert client.returncode == 1, err
    assert "workers died with one unit" in err
    assert "Traceback" not in err
    features = [*(out / "store" / "features").iterdir()]
    assert features  # what was finished stays


@pytest.mark.long
def test_input_that_a_stage_refuses_is_told_as_in_one_process(study: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(study.read_text(encoding="utf-8"))
    content["arms"]["rank"]["reduced_rank"]["rank"] = [500]
    wrong = save_study(tmp_path / "wrong.yaml", content)
    cluster = run_process(
        "run", wrong, "--out", tmp_path / "a", "--cluster", save_cluster(tmp_path)
    )
    plain = run_process("run", wrong, "--out", tmp_path / "b", "--threads", "1")
    assert cluster.code == plain.code == 2
    assert cluster.err.splitlines()[-1] == plain.err.splitlines()[-1]


def test_units_come_after_what_they_need_and_leave_all_that_is_fitted(
    study: Path, alone: Path
) -> None:
    plan, store = lay_out_study(load_study(str(study)), RunOptions(alone))
    units = study_units(plan)
    seen: set[str] = set()
    for key, unit in units.items():
        assert set(unit.needs) <= seen, unit.words
        assert unit.is_done(store), unit.words
        seen.add(key)
    made = {recipe.key for unit in units.values() for recipe in unit.makes}
    for stage in ("features", "tuning", "head", "brain", "alignment", "readout"):
        kept = {path.name for path in (alone / "store" / stage).iterdir()}
        assert kept - made == set() or stage in ("features", "readout"), stage
    assert {u.words.split()[0] for u in units.values()} == {
        "features", "head", "brain", "tuning", "alignments", "fit",
    }  # fmt: skip
    assert all(u.on_gpu == (u.words.split()[0] in ("features", "head", "tuning"))
               for u in units.values())  # fmt: skip


@pytest.mark.long
def test_a_scheduler_that_runs_already(study: Path, alone: Path, tmp_path: Path) -> None:
    shutil.copytree(alone, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "store" / "readout")
    python = [sys.executable, "-m"]
    file = tmp_path / "scheduler.json"
    given = ["--scheduler-file", str(file)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    start = [*python, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler = subprocess.Popen([*start, "--no-dashboard", *given], **quiet)
    try:
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        address = yaml.safe_load(file.read_text(encoding="utf-8"))["address"]
        cluster = save_cluster(tmp_path, f"kind: address\naddress: {address}\n")
        run = ("run", study, "--out", tmp_path / "out", "--cluster", cluster)
        refused = run_process(*run)
        assert refused.code == 2
        assert "--resources CPU=1" in refused.err
        start = [*python, "distributed.cli.dask_worker", address, "--nthreads", "1"]
        worker = subprocess.Popen(
            [*start, "--resources", "CPU=1", "--no-dashboard"], env=environment(), **quiet
        )
        try:
            time.sleep(5)
            done = run_process(*run)
            assert done.code in (0, 4), done.err
        finally:
            worker.terminate()
            worker.wait(30)
    finally:
        scheduler.terminate()
        scheduler.wait(30)
    _assert_same(tmp_path / "out", alone)


@pytest.mark.long
def test_a_folder_of_relative_paths_serves_workers_too(
    study: Path, alone: Path, tmp_path: Path
) -> None:
    content = yaml.safe_load(study.read_text(encoding="utf-8"))
    shutil.copytree(content["dataset"].pop("folder"), tmp_path / "data")
    shutil.copytree(alone, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "store" / "readout")
    save_study(tmp_path / "study.yaml", content)
    save_cluster(tmp_path)
    done = subprocess.run(
        command("run", "study.yaml", "--data", "data", "--out", "out", "--cluster", "cluster.yaml"),
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 4), done.stderr
    found, wanted = (out / "tuned" / "scores.npz" for out in (tmp_path / "out", alone))
    assert found.read_bytes() == wanted.read_bytes()


def test_units_that_two_entries_share_are_one(study: Path, alone: Path) -> None:
    more = ["features.again={model: %s, text: {layer: -1}}"]
    content = yaml.safe_load(study.read_text(encoding="utf-8"))
    more = [more[0] % content["features"]["plain"]["model"], "arms.again={features: [again]}"]
    plan, _ = lay_out_study(load_study(str(study), overrides=more), RunOptions(alone))
    units = study_units(plan)
    made = [recipe.key for unit in units.values() for recipe in unit.makes]
    readouts = {r.key for u in units.values() for r in u.makes if r.stage == "readout"}
    assert sorted(key for key in made if key not in readouts) == sorted(set(made) - readouts)
    assert set(units["fit again, UTS01"].needs) <= set(units)
    assert units["fit again, UTS01"].needs == units["fit plain, UTS01"].needs


def test_a_missing_cluster_file_is_refused_before_any_work(
    study: Path, tmp_path: Path, cli: Cli
) -> None:
    done = cli("run", study, "--out", tmp_path / "out", "--cluster", tmp_path / "none.yaml")
    assert done.code == 2
    assert "none.yaml" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("option", "value"), [("--device", "cuda"), ("--threads", "2")])
@pytest.mark.parametrize("more", [(), ("--plan",)])
def test_options_that_workers_do_not_read_are_refused(
    study: Path, tmp_path: Path, cli: Cli, option: str, value: str, more: tuple[str, ...]
) -> None:
    path = save_cluster(tmp_path)
    out = tmp_path / "out"
    done = cli("run", study, "--out", out, "--cluster", path, option, value, *more)
    assert done.code == 2
    assert f"--cluster and {option}: got both" in done.err
    assert not out.exists()


def test_a_plan_takes_what_the_clusters_gpus_can_do(
    checkpoint: Path, tmp_path: Path, cli: Cli
) -> None:
    data = save_listeners(tmp_path / "data", SUBJECTS[:1])
    half = tuning(checkpoint, aligner={"precision": "float16"})
    study = save_study(tmp_path / "study.yaml", tuned_study(checkpoint, data, {"half": half}))
    planned = ("run", study, "--out", tmp_path / "out", "--plan", "--cluster")
    path = save_cluster(tmp_path, "gpu: {workers: 1}\n")
    done = cli(*planned, path)
    assert done.code == 0, done.err
    refused = cli(*planned, save_cluster(tmp_path, TWO))
    assert (refused.code, "float16 on a CPU" in refused.err) == (2, True)


def test_gpu_jobs_have_a_script_of_their_own(tmp_path: Path, cli: Cli, study: Path) -> None:
    gpu = JOBS | {"resources": "select=1:ncpus=4:ngpus=1", "device": "cuda", "workers": 3}
    text = yaml.safe_dump({"kind": "pbs", "cpu": JOBS, "gpu": gpu})
    path = save_cluster(tmp_path, text)
    scripts = job_scripts(read_cluster(path))
    assert [*scripts] == ["CPU", "GPU"]
    assert "#PBS -l select=1:ncpus=4:ngpus=1" in scripts["GPU"]
    assert "--resources GPU=1" in scripts["GPU"]
    assert len(worker_specs(read_cluster(path))) == 2 + 3
    shown = cli("run", study, "--out", tmp_path / "out", "--plan", "--cluster", path)
    assert shown.code == 0
    assert "# a job for GPU units" in shown.out
