"""transformers' Trainer with our batches, loss, validation and checkpoints."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from brainaligner.aligner._batches import EpochBatches, EpochData
from brainaligner.aligner._layout import Batch, Examples
from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._settings import AlignerSettings, TuningOptions
from brainaligner.aligner._tally import fixed_batches, token_losses
from brainaligner.aligner._working_folder import WEIGHTS, drop_checkpoints, mark_whole
from brainaligner.core import BrainAlignerError, InputError

_SCHEDULES = {"linear": "linear", "constant": "constant_with_warmup", "cosine": "cosine"}


def training_arguments(
    settings: AlignerSettings, options: TuningOptions, folder: Path, *, n_steps: int
) -> TrainingArguments:
    """Say to transformers what the settings say; starts the process group under torchrun."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        weight_decay=settings.weight_decay,
        warmup_steps=_warmup_steps(settings, n_steps),
        lr_scheduler_type=_SCHEDULES[settings.schedule],
        max_grad_norm=settings.clip,
        num_train_epochs=settings.epochs,
        seed=settings.seed,
        bf16=settings.precision == "bfloat16",
        fp16=settings.precision == "float16",
        use_cpu=options.device == "cpu",
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_steps=options.log_steps,
        logging_nan_inf_filter=False,
        metric_for_best_model="loss",
        greater_is_better=False,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several in one process would cut batches apart
    return arguments


def _warmup_steps(settings: AlignerSettings, n_steps: int) -> int:
    if settings.warmup_steps is not None:
        return settings.warmup_steps
    assert settings.warmup_share is not None
    return math.ceil(settings.warmup_share * n_steps)


class AlignerTrainer(Trainer):
    """Trains on the tokens that were hidden; every other decision is transformers' own.

    The loss of a step is the sum over hidden tokens by their number, over all passes that are
    accumulated and over all ranks. transformers keeps optimizer, schedule and random states as
    files of torch, and reads them with ``weights_only``; its pickled arguments are not written.
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
        ranks = arguments.world_size
        _check_ranks(sides[0], ranks)
        self.batches = EpochBatches(sides[0], rank=arguments.process_index, ranks=ranks)
        self.data: Any = EpochData(self.batches)
        super().__init__(aligner, arguments, train_dataset=self.data, eval_dataset=sides[1])
        self.model_accepts_loss_kwargs = True  # count hidden tokens over passes and ranks
        self.sides = sides
        self.remove_callback(PrinterCallback)
        self.add_callback(_Rhythm(self.batches, options))
        self.add_callback(recorder)
        self.seen = torch.zeros(3, device=arguments.device)
        self.since = time.perf_counter()

    def get_train_dataloader(self) -> DataLoader:
        """Batches of this rank, made in this process."""
        return DataLoader(
            self.data,
            batch_sampler=self.batches,
            collate_fn=_as_it_is,  # type: ignore[arg-type]
            generator=torch.Generator(),  # else each epoch would draw from dropout's numbers
        )

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
        loss = logs.get("loss", logs.get("eval_loss", 0.0))
        if not math.isfinite(loss):
            raise BrainAlignerError(
                f"tuning: the loss is {loss} at step {self.state.global_step}. Lower the learning "
                "rate, clip gradients, or use float32."
            )
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

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write the trained weights alone, and nothing that is pickled."""
        from safetensors.torch import save_file

        assert output_dir is not None
        if self.args.should_save:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            save_file(trained_weights(self.model), Path(output_dir) / WEIGHTS)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Keep the newest checkpoint and the best; older ones go once the new one is whole."""
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            folder, step = Path(str(self.args.output_dir)), self.state.global_step
            mark_whole(folder / f"checkpoint-{step}")
            drop_checkpoints(folder, kept=(step, self.state.best_global_step or step))

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Checkpoints lack the frozen weights on purpose."""
        if load_result.unexpected_keys:
            raise InputError(
                "checkpoint",
                got=f"weights {load_result.unexpected_keys[:3]} that are not trained",
                wanted="the weights of this run",
                do="Give another working folder.",
            )


class _Rhythm(TrainerCallback):
    """When epochs begin, when checkpoints are written beside those of epochs, when to stop."""

    def __init__(self, batches: EpochBatches, options: TuningOptions) -> None:
        self.batches, self.options = batches, options
        self.steps = batches.examples.n_steps

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.batches.epoch = state.global_step // self.steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step, every = state.global_step, self.options.save_steps
        if every and step % every == 0 and step % self.steps:
            control.should_save = control.should_log = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_log = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        settings = self.batches.examples.settings
        if is_over(vars(state), settings, steps_per_epoch=self.steps):
            control.should_training_stop = True


def is_over(state: dict[str, Any], settings: AlignerSettings, *, steps_per_epoch: int) -> bool:
    """Whether training has come to its end: all epochs, or no better loss for too long."""
    step, best = state["global_step"], state["best_global_step"]
    if step % steps_per_epoch:
        return False
    waited = (step - best) // steps_per_epoch if best else 0
    out_of_patience = settings.patience is not None and waited >= settings.patience
    return out_of_patience or step >= settings.epochs * steps_per_epoch


def trained_weights(model: Any) -> dict[str, torch.Tensor]:
    """The weights that have gradients, by name."""
    named = model.named_parameters()
    return {name: weight.detach().contiguous() for name, weight in named if weight.requires_grad}


def _check_ranks(examples: Examples, ranks: int) -> None:
    smallest = min(examples.settings.batch, len(examples.lengths)) // 2
    if ranks > max(smallest, 1):
        raise InputError(
            "ranks",
            got=f"{ranks} ranks for batches of {examples.settings.batch}",
            wanted="at least two examples of each batch for every rank",
            do="Start fewer ranks or raise the batch.",
        )


def _as_it_is(batch: Batch) -> Batch:
    return batch
