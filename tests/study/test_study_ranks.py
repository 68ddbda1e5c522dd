"""Several processes of torchrun make the same study as one, and go where the first one goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_trees import save_checkpoint, save_own_data
from torch.distributed import DistNetworkError, HashStore

from brainaligner.core import BrainAlignerError, Clock, InputError
from brainaligner.study import Recipe, Store
from brainaligner.study._arm_config import FeatureConfig
from brainaligner.study._features import Stimuli, ensure_features, feature_space
from brainaligner.study._job import Job, join_job
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import SilentReporter
from brainaligner.text import TextSettings, model_info

RECIPE = Recipe("tuning", 1, {"seed": 0}, {"model": "x"})

STUDY = """
name: ranks
dataset: {{reader: folder, subjects: [P1]}}
split: {{train: [apple, birch, cedar], validation: [daisy], test: [elder, fig]}}
features:
  plain: {{model: {model}}}
  tuned: {{tuning: tuned}}
brains:
  all: {{encoder: {{kind: all}}}}
tunings:
  tuned:
    model: {model}
    brain: all
    validation_stories: 1
    cross_fit: null
    head: {{epochs: 1, batch: 8}}
    aligner:
      epochs: 2
      patience: null
      batch: 8
      accumulation: 1
      learning_rate: 1.0e-3
      warmup_steps: 0
      trained_layers: 1
      dropout: 0.0
arms:
  plain: {{features: [plain]}}
  tuned: {{features: [tuned]}}
"""


def run(command: list[str], study: Path, data: Path, out: Path) -> None:
    call = [*command, "run", str(study), "--data", str(data), "--out", str(out), "--threads", "1"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(call, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.long
def test_two_ranks_make_the_study_of_one(tmp_path: Path) -> None:
    data = save_own_data(tmp_path / "data", n_rows=90)
    model = save_checkpoint(tmp_path / "model")
    study = tmp_path / "ranks.yaml"
    study.write_text(STUDY.format(model=model))
    alone, together = tmp_path / "alone", tmp_path / "together"
    run([sys.executable, "-m", "brainaligner"], study, data, alone)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    ports = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    run([*torchrun, *ports, "-m", "brainaligner"], study, data, together)
    first, second = (np.load(place / "ranks" / "scores.npz") for place in (alone, together))
    assert set(first.files) == set(second.files)
    for name in first.files:
        np.testing.assert_allclose(first[name], second[name], atol=1e-4)
    bits = [
        json.loads((place / "ranks" / "run.json").read_text())["tunings"][0]["bits"]["true"]
        for place in (alone, together)
    ]
    assert bits[0] == pytest.approx(bits[1], abs=1e-4)
    assert not list((together / "store" / "tmp").iterdir())


def two_ranks(folder: Path) -> tuple[Store, Store]:
    notes = HashStore()
    first, second = (Store(folder, job=Job(rank, notes)) for rank in range(2))
    return first.open(), second


def in_threads(*calls: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)


def test_ranks_build_nothing_where_the_first_one_waits_and_finds_it_made(tmp_path: Path) -> None:
    first, second = two_ranks(tmp_path / "store")
    other = Store(tmp_path / "store").open()
    begun, waited = threading.Event(), threading.Event()
    built: list[str] = []
    first.waits = lambda _: waited.set()

    def slowly(target: Path, work: Path) -> None:
        built.append("other")
        begun.set()
        assert waited.wait(timeout=60)

    def rank(store: Store) -> None:
        assert begun.wait(timeout=60)
        store.ensure_resumable(RECIPE, lambda *_: built.append(f"rank {store.rank}"))

    in_threads(
        lambda: other.ensure_resumable(RECIPE, slowly), lambda: rank(first), lambda: rank(second)
    )
    assert built == ["other"]


def test_ranks_build_with_the_first_one_whatever_they_find_themselves(tmp_path: Path) -> None:
    first, second = two_ranks(tmp_path / "store")
    together, looked = threading.Barrier(2), threading.Event()
    works: set[Path] = set()

    def build(target: Path, work: Path) -> None:
        looked.set()
        works.add(work)
        together.wait(timeout=60)  # as the ranks of a tuning do at each step

    def follow() -> None:
        assert looked.wait(timeout=60)
        Store(tmp_path / "store").ensure(RECIPE, lambda _: None)  # somebody else is faster
        second.ensure_resumable(RECIPE, build)

    in_threads(lambda: first.ensure_resumable(RECIPE, build), follow)
    assert len(works) == 1
    assert not works.pop().exists()


def test_ranks_do_not_build_again_what_they_built_before(tmp_path: Path) -> None:
    first, second = two_ranks(tmp_path / "store")
    built: list[int] = []

    def twice(store: Store) -> None:
        for _ in range(2):
            store.ensure_resumable(RECIPE, lambda *_: built.append(store.rank))

    in_threads(lambda: twice(first), lambda: twice(second))
    assert sorted(built) == [0, 1]


MEETING = """
import sys, time
from pathlib import Path
from brainaligner.study import Recipe, Store
from brainaligner.study._job import join_job
rank, folder = int(sys.argv[1]), Path(sys.argv[2])
store = Store(folder / "store", job=join_job(rank))
if not rank:
    store.open()

def build(target: Path, work: Path) -> None:
    (folder / f"built-{rank}").touch()
    while not (folder / f"built-{1 - rank}").exists():  # as ranks wait at each step
        time.sleep(0.1)

path = store.ensure_resumable(Recipe("tuning", 1, {}, {}), build)
assert path.is_dir()
"""


@pytest.mark.parametrize("of_one_agent", [True, False])
def test_processes_meet_as_torchrun_or_a_queue_starts_them(
    tmp_path: Path, of_one_agent: bool
) -> None:
    script = tmp_path / "meeting.py"
    script.write_text(MEETING)
    port = 29500 + os.getpid() % 2000
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    commands: list[list[str]] = []
    environments: list[dict[str, str]] = []
    if of_one_agent:
        launcher = tmp_path / "launch.py"
        launcher.write_text(f"import os, sys\nsys.argv[1:1] = [os.environ['RANK']]\n{MEETING}")
        ports = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
        commands.append([*torchrun, *ports, str(launcher), str(tmp_path)])
        environments.append({})
    else:
        for rank in range(2):
            commands.append([sys.executable, str(script), str(rank), str(tmp_path)])
            meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
            environments.append(meeting | {"RANK": str(rank)})
    started = [
        subprocess.Popen(command, env=os.environ | more, stderr=subprocess.PIPE, text=True)
        for command, more in zip(commands, environments, strict=True)
    ]
    said = [process.communicate(timeout=200)[1] for process in started]
    assert not any(process.returncode for process in started), said
    assert {path.name for path in tmp_path.glob("built-*")} == {"built-0", "built-1"}


def test_ranks_after_the_first_wait_for_features_and_read_no_text(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_ranks(tmp_path / "store")
    info = model_info(str(checkpoint))
    feature = FeatureConfig(str(checkpoint), TextSettings(layer=1))
    stimuli = Stimuli({}, {}, Clock())
    space = feature_space("plain", feature, info, stimuli, store=second)
    reads: list[int] = []
    monkeypatch.setattr("brainaligner.study._features._states", lambda *_: reads.append(1))
    options, reporter = RunOptions(tmp_path), SilentReporter()
    in_threads(
        lambda: ensure_features([space], stimuli, store=second, options=options, reporter=reporter),
        lambda: first.ensure(space.recipe, lambda _: None),
    )
    assert first.has(space.recipe)
    assert not reads


class _Gone(HashStore):
    """Notes of a first rank that has ended."""

    def check(self, keys: list[str]) -> bool:
        raise DistNetworkError("Connection was likely closed")


def test_ranks_that_outlive_the_first_one_wait_for_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", job=Job(1, _Gone()))
    with pytest.raises(BrainAlignerError, match="first rank ended"):
        store.ensure_resumable(RECIPE, lambda *_: None)
    made = Store(tmp_path / "store").open().ensure(RECIPE, lambda _: None)
    assert store.ensure_resumable(RECIPE, lambda *_: None) == made


def test_a_rank_that_cannot_meet_the_others_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(InputError, match="MASTER_ADDR"):
        join_job(1)
