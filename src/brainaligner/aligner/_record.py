"""What a run leaves behind for people: history.csv, TensorBoard, and the progress bar."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from brainaligner.core import Progress

LOSSES = ("predict", "contrastive", "masked_brain", "anchor", "language")
COLUMNS = (
    "step",
    "epoch",
    "loss",
    "learning_rate",
    "grad_norm",
    "masked_accuracy",
    "examples_per_s",
    "eval_loss",
    "eval_bits",
    "eval_accuracy",
)
"""Of history.csv. Losses are nats per hidden token; ``eval_`` is on the validation stories;
``examples_per_s`` counts texts with a hidden token, for others teach nothing and are left out."""

OBJECTIVE_COLUMNS = (
    *("step", "epoch", "loss", "learning_rate", "grad_norm"),
    *LOSSES,
    *("eval_loss", "eval_r"),
    *(f"eval_{name}" for name in LOSSES),
)
"""The same where objectives are trained: the weighted sum, each loss, r on validation stories."""


def history_rows(
    log: Iterable[Mapping[str, Any]], columns: Sequence[str] = COLUMNS
) -> tuple[dict[str, float], ...]:
    """Keep the lines of Trainer's log that hold a loss, and the columns that are ours."""
    wanted = (line for line in log if "loss" in line or "eval_loss" in line)
    return tuple({name: float(line[name]) for name in columns if name in line} for line in wanted)


def write_history(
    log: Iterable[Mapping[str, Any]], path: Path, columns: Sequence[str] = COLUMNS
) -> None:
    """Write history.csv whole, by one rename."""
    made = path.with_suffix(".part")
    with made.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history_rows(log, columns))
    made.replace(path)


class Recorder(TrainerCallback):
    """Writes each line of history as it comes, from one rank."""

    def __init__(
        self, folder: Path, progress: Progress, what: str, columns: Sequence[str] = COLUMNS
    ) -> None:
        self.folder, self.progress, self.what = folder, progress, what
        self.columns = columns
        self.board: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            from torch.utils.tensorboard import SummaryWriter

            place, step = str(self.folder / "tensorboard"), state.global_step
            self.board = SummaryWriter(place, purge_step=step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            self.progress(self.what, state.global_step, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if self.board is None or not history_rows([logs], self.columns):
            return
        write_history(state.log_history, self.folder / "history.csv", self.columns)
        for name, value in logs.items():
            if name in self.columns[1:]:
                self.board.add_scalar(name, value, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.board is not None:
            self.board.close()
