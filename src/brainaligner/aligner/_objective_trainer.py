"""The training loop of objectives: the sum of losses, validation, and when it ends."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainingArguments

from brainaligner.aligner._masking import FIXED
from brainaligner.aligner._objective_model import ObjectiveModel
from brainaligner.aligner._objective_settings import ObjectiveSettings
from brainaligner.aligner._resumable import ResumableTrainer, base_arguments
from brainaligner.aligner._settings import TuningOptions
from brainaligner.aligner._stretches import Side


def evaluation_steps(settings: ObjectiveSettings, steps_per_epoch: int) -> int:
    """Steps from one evaluation to the next."""
    return math.ceil(steps_per_epoch / settings.evaluations)


def objective_arguments(
    settings: ObjectiveSettings, options: TuningOptions, folder: Path, *, steps_per_epoch: int
) -> TrainingArguments:
    """Say to transformers what the settings say."""
    every = evaluation_steps(settings, steps_per_epoch)
    return base_arguments(
        settings,
        folder,
        device=options.device,
        warmup_steps=math.ceil(settings.warmup_share * settings.epochs * steps_per_epoch),
        per_device_train_batch_size=settings.stretches,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        logging_steps=min(options.log_steps, every),
    )


class ObjectiveTrainer(ResumableTrainer):
    """Trains on the weighted sum of the given losses.

    Each loss is a mean over its batch; accumulated batches count alike.
    """

    def __init__(
        self,
        model: ObjectiveModel,
        sides: tuple[Side, Side],
        *,
        arguments: TrainingArguments,
        recorder: TrainerCallback,
    ) -> None:
        settings = sides[0].settings
        every = evaluation_steps(settings, sides[0].n_steps)
        callbacks = (_Patience(settings, every), recorder)
        super().__init__(model, sides, arguments=arguments, callbacks=callbacks)
        self.model_accepts_loss_kwargs = False  # the loss of accumulated batches is averaged
        self.sides, self.settings = sides, settings
        self.sums: dict[str, float] = {}
        self.n_sums = 0

    optimizer: torch.optim.Optimizer | None

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW, with the heads' own learning rate, and no decay of biases and normalisation."""
        if self.optimizer is None:
            groups = parameter_groups(self.model, self.settings)
            self.optimizer = torch.optim.AdamW(
                groups, lr=self.settings.learning_rate, betas=self.settings.betas, eps=1e-8
            )
        return self.optimizer

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Weighted sum of the losses of one batch."""
        losses = model(inputs)
        for name, loss in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(loss.detach())
        self.n_sums += 1
        total = weighted_sum(losses, self.settings)
        return total if total.requires_grad else total + _nothing(model)  # a batch without words

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add each loss to Trainer's own line."""
        if "loss" in logs and self.n_sums:
            logs |= {name: total / self.n_sums for name, total in self.sums.items()}
            self.sums, self.n_sums = {}, 0
        super().log(logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Losses on the validation stories, and r of the predicted responses."""
        assert self.model is not None
        with self.accelerator.autocast():
            found = validation_losses(self.model, self.sides[1], self._prepare_inputs)
        losses = {name: torch.tensor(value) for name, value in found.items() if name != "r"}
        metrics = {"eval_loss": float(weighted_sum(losses, self.settings))}
        metrics |= {f"eval_{name}": value for name, value in found.items()}
        self.log(metrics)
        return metrics


def _nothing(model: Any) -> torch.Tensor:
    """0, with a gradient of 0 for every trained weight."""
    trained = [weight.sum() for weight in model.parameters() if weight.requires_grad]
    return torch.stack(trained).sum() * 0.0


def weighted_sum(losses: dict[str, torch.Tensor], settings: ObjectiveSettings) -> torch.Tensor:
    """``sum_i weight_i loss_i``."""
    given = settings.losses
    return torch.stack([losses[name] * given[name].weight for name in given]).sum()


def validation_losses(model: Any, side: Side, prepare: Any) -> dict[str, float]:
    """Mean of each loss over the stretches of a side, and ``"r"``.

    r is the mean over subjects and targets of the correlation over all rows together. Every rank
    computes all of it.
    """
    was_training = model.training
    model.eval()
    sums: dict[str, float] = {}
    rows: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    total = 0
    with torch.no_grad():
        for stretches in side.epoch_batches(FIXED):
            batch = prepare(side.batch(stretches, FIXED))
            found = model(batch)
            for name in side.settings.losses:
                sums[name] = sums.get(name, 0.0) + float(found[name]) * len(stretches)
            total += len(stretches)
            for n, one in enumerate(batch["subjects"]):
                if f"predicted/{n}" in found:
                    kept = one["present"]
                    pair = (found[f"predicted/{n}"].float()[kept], one["observed"][kept])
                    rows.setdefault(n, []).append(tuple(x.cpu().numpy() for x in pair))
    model.train(was_training)
    losses = {name: value / total for name, value in sums.items()}
    if rows:
        losses["r"] = float(np.mean([_mean_r(pairs) for pairs in rows.values()]))
    return losses


def _mean_r(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    a, b = (np.concatenate(parts).astype(np.float64) for parts in zip(*pairs, strict=True))
    a, b = a - a.mean(0), b - b.mean(0)
    spread = np.sqrt(np.square(a).sum(0) * np.square(b).sum(0))
    return float(np.mean((a * b).sum(0) / np.where(spread > 0, spread, np.inf)))


def parameter_groups(model: Any, settings: ObjectiveSettings) -> list[dict[str, Any]]:
    """Trained weights by learning rate and decay; vectors do not decay."""
    own = settings.heads.learning_rate or settings.learning_rate
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        in_heads = name.startswith("heads.")
        rate = own if in_heads else settings.learning_rate
        decays = weight.ndim > 1 and not name.startswith("heads.offsets")
        key = (rate, settings.weight_decay if decays else 0.0)
        groups.setdefault(key, []).append(weight)
    return [
        {"params": weights, "lr": rate, "weight_decay": decay}
        for (rate, decay), weights in groups.items()
    ]


class _Patience(TrainerCallback):
    """Evaluates once more at the end; stops after some evaluations without a lower loss."""

    def __init__(self, settings: ObjectiveSettings, every: int) -> None:
        self.settings, self.every = settings, every

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Not every version of transformers evaluates a last part that is shorter than others."""
        if state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if out_of_patience(vars(state), self.settings, every=self.every):
            control.should_training_stop = True


def out_of_patience(state: dict[str, Any], settings: ObjectiveSettings, *, every: int) -> bool:
    """Whether the validation loss has not fallen for too many evaluations."""
    best = state["best_global_step"]
    if settings.patience is None or not best:
        return False
    return bool((state["global_step"] - best) / every >= settings.patience)
