"""The training loop of masked language modelling: its loss, validation and when it ends."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainingArguments

from brainaligner.aligner._layout import Examples
from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._resumable import ResumableTrainer, base_arguments
from brainaligner.aligner._settings import AlignerSettings, TuningOptions
from brainaligner.aligner._tally import fixed_batches, token_losses
from brainaligner.core import InputError


def training_arguments(
    settings: AlignerSettings, options: TuningOptions, folder: Path, *, n_steps: int
) -> TrainingArguments:
    """Say to transformers what the settings say; starts the process group under torchrun."""
    return base_arguments(
        settings,
        folder,
        device=options.device,
        warmup_steps=_warmup_steps(settings, n_steps),
        per_device_train_batch_size=settings.batch,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_steps=options.log_steps,
    )


def _warmup_steps(settings: AlignerSettings, n_steps: int) -> int:
    if settings.warmup_steps is not None:
        return settings.warmup_steps
    assert settings.warmup_share is not None
    return math.ceil(settings.warmup_share * n_steps)


class AlignerTrainer(ResumableTrainer):
    """Trains on the tokens that were hidden; every other decision is transformers' own.

    The loss of a step is the sum over hidden tokens by their number, over all passes that are
    accumulated and over all ranks.
    """

    def __init__(
        self,
        aligner: BrainAligner,
        sides: tuple[Examples, Examples],
        *,
        arguments: TrainingArguments,
        options: TuningOptions,
        recorder: TrainerCallback,
    ) -> None:
        _check_ranks(sides[0], arguments.world_size)
        callbacks = (_Rhythm(sides[0], options), recorder)
        super().__init__(aligner, sides, arguments=arguments, callbacks=callbacks)
        self.model_accepts_loss_kwargs = True  # count hidden tokens over passes and ranks
        self.sides = sides
        self.seen = torch.zeros(3, device=arguments.device)
        self.since = time.perf_counter()

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Sum of the hidden tokens' costs, by the number of them in the whole step."""
        losses, hits = token_losses(model, inputs)
        counts = (hits.sum(), torch.tensor(len(hits)), torch.tensor(len(inputs["input_ids"])))
        self.seen += torch.stack([count.to(self.seen) for count in counts])
        assert num_items_in_batch is not None
        total = torch.as_tensor(num_items_in_batch, device=losses.device).clamp(min=1)
        return losses.sum() / total * self.args.world_size  # ranks' gradients are averaged

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add accuracy and speed to Trainer's own line."""
        if "loss" in logs:
            logs |= self._seen_since()
        super().log(logs, start_time)

    def _seen_since(self) -> dict[str, float]:
        hits, tokens, texts = self.accelerator.reduce(self.seen).tolist()
        seconds = time.perf_counter() - self.since
        self.seen.zero_()
        self.since = time.perf_counter()
        return {"masked_accuracy": hits / max(tokens, 1), "examples_per_s": texts / seconds}

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Cost of the hidden tokens of the validation stories, under fixed masks."""
        started = time.perf_counter()
        assert self.model is not None
        self.model.eval()
        place = {"rank": self.args.process_index, "ranks": self.args.world_size}
        sums = torch.zeros(3, dtype=torch.float64)
        with torch.inference_mode(), self.accelerator.autocast():
            for _indices, batch in fixed_batches(self.sides[1], **place):
                losses, hits = token_losses(self.model, self._prepare_inputs(batch))
                sums += torch.tensor([losses.double().sum(), hits.sum(), len(hits)])
        loss, hit, tokens = self.accelerator.reduce(sums.to(self.args.device)).tolist()
        metrics = {
            "eval_loss": loss / tokens,
            "eval_bits": loss / tokens / math.log(2),
            "eval_accuracy": hit / tokens,
        }
        self.log(metrics)
        self.since += time.perf_counter() - started
        return metrics


class _Rhythm(TrainerCallback):
    """When checkpoints are written beside those of epochs, and when to stop."""

    def __init__(self, examples: Examples, options: TuningOptions) -> None:
        self.settings, self.options = examples.settings, options
        self.steps = examples.n_steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step, every = state.global_step, self.options.save_steps
        if every and step % every == 0 and step % self.steps:
            control.should_save = control.should_log = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_log = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if is_over(vars(state), self.settings, steps_per_epoch=self.steps):
            control.should_training_stop = True


def is_over(state: dict[str, Any], settings: AlignerSettings, *, steps_per_epoch: int) -> bool:
    """Whether training has come to its end: all epochs, or no better loss for too long."""
    step, best = state["global_step"], state["best_global_step"]
    if step % steps_per_epoch:
        return False
    waited = (step - best) // steps_per_epoch if best else 0
    out_of_patience = settings.patience is not None and waited >= settings.patience
    return out_of_patience or step >= settings.epochs * steps_per_epoch


def _check_ranks(examples: Examples, ranks: int) -> None:
    smallest = min(examples.settings.batch, len(examples.lengths)) // 2
    if ranks > max(smallest, 1):
        raise InputError(
            "ranks",
            got=f"{ranks} ranks for batches of {examples.settings.batch}",
            wanted="at least two examples of each batch for every rank",
            do="Start fewer ranks or raise the batch.",
        )
