"""Several processes of torchrun make the same study as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from study_trees import save_checkpoint, save_own_data

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
