"""transformers' Trainer with our order of batches and our checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from brainaligner.aligner._batches import EpochBatches, EpochData, Source
from brainaligner.aligner._working_folder import (
    WEIGHTS,
    claim_folder,
    drop_checkpoints,
    drop_torn_checkpoints,
    mark_whole,
)
from brainaligner.core import BrainAlignerError, InputError

SCHEDULES = {"linear": "linear", "constant": "constant_with_warmup", "cosine": "cosine"}


def base_arguments(
    settings: Any, folder: Path, *, device: str, warmup_steps: int, **more: Any
) -> TrainingArguments:
    """Say to transformers what all kinds of tuning share; starts the process group of torchrun."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        weight_decay=settings.weight_decay,
        warmup_steps=warmup_steps,
        lr_scheduler_type=SCHEDULES[settings.schedule],
        max_grad_norm=settings.clip,
        num_train_epochs=settings.epochs,
        seed=settings.seed,
        bf16=settings.precision == "bfloat16",
        fp16=settings.precision == "float16",
        use_cpu=device == "cpu",
        logging_nan_inf_filter=False,
        metric_for_best_model="loss",
        greater_is_better=False,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        **more,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several in one process would cut batches apart
    return arguments


def claim_together(arguments: TrainingArguments, folder: Path, digest: str) -> None:
    """Claim a working folder for one run, the same in all ranks, and clear what was torn.

    Raises
    ------
    InputError
        In every rank where they are about to train different things, whose gradients would be
        averaged all the same; or if the folder holds another run.
    """
    if arguments.world_size > 1:
        _check_alike(digest)
    with arguments.main_process_first():
        claim_folder(folder, digest)
        if arguments.should_save:
            drop_torn_checkpoints(folder)


def _check_alike(digest: str) -> None:
    from accelerate.utils import gather_object

    different = len(set(gather_object([digest])))
    if different > 1:
        raise InputError(
            "ranks",
            got=f"{different} different tunings: other settings, material or weights",
            wanted="one tuning in all ranks",
            do="Start all ranks with one command, on the same data, models and store.",
        )


class ResumableTrainer(Trainer):
    """Trains on the batches of a source, and keeps checkpoints of trained weights alone.

    transformers keeps optimizer, schedule and random states as files of torch, and reads them
    with ``weights_only``; its pickled arguments are not written.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        sides: tuple[Source, Any],
        *,
        arguments: TrainingArguments,
        callbacks: Iterable[TrainerCallback],
    ) -> None:
        rank, ranks = arguments.process_index, arguments.world_size
        self.batches = EpochBatches(sides[0], rank=rank, ranks=ranks)
        self.data: Any = EpochData(self.batches)
        super().__init__(model, arguments, train_dataset=self.data, eval_dataset=sides[1])
        self.remove_callback(PrinterCallback)
        self.add_callback(_Epochs(self.batches))
        for callback in callbacks:
            self.add_callback(callback)

    def get_train_dataloader(self) -> DataLoader:
        """Batches of this rank, made in this process."""
        return DataLoader(
            self.data,
            batch_sampler=self.batches,
            collate_fn=_as_it_is,
            generator=torch.Generator(),  # else each epoch would draw from dropout's numbers
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Refuse to go on with a loss that is no number."""
        loss = logs.get("loss", logs.get("eval_loss", 0.0))
        if not math.isfinite(loss):
            raise BrainAlignerError(
                f"tuning: the loss is {loss} at step {self.state.global_step}. Lower the learning "
                "rate, clip gradients, or use float32."
            )
        super().log(logs, start_time)

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


class _Epochs(TrainerCallback):
    """Tells batches which epoch it is."""

    def __init__(self, batches: EpochBatches) -> None:
        self.batches = batches

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.batches.epoch = state.global_step // self.batches.source.n_steps


def trained_weights(model: Any) -> dict[str, torch.Tensor]:
    """The weights that have gradients, by name."""
    named = model.named_parameters()
    return {name: weight.detach().contiguous() for name, weight in named if weight.requires_grad}


def _as_it_is(batch: Any) -> Any:
    return batch
