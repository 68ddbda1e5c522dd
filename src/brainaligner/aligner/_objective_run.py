"""One run of tuning on objectives, from material to a tuned model."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from brainaligner.aligner._heads import StartedHeads, start_heads
from brainaligner.aligner._layer_cache import LayerCache, keep_states, story_files, wants_cache
from brainaligner.aligner._masking import read_vocabulary
from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._objective_model import ObjectiveModel
from brainaligner.aligner._objective_parts import moved_layers, objective_span, objective_trainee
from brainaligner.aligner._objective_settings import ObjectiveSettings
from brainaligner.aligner._parts import merge_lora
from brainaligner.aligner._pooling import kept_pooled, pooled_states
from brainaligner.aligner._settings import TuningOptions
from brainaligner.aligner._span import LayerSpan
from brainaligner.aligner._story_material import StoryMaterial
from brainaligner.aligner._stretches import Pooled, Side
from brainaligner.aligner._token_table import TokenTable, token_table
from brainaligner.aligner._working_folder import (
    WEIGHTS,
    objective_digest,
    trainer_state,
    whole_checkpoints,
)
from brainaligner.core import Progress

if TYPE_CHECKING:
    from brainaligner.aligner._objective_trainer import ObjectiveTrainer


@dataclass(frozen=True, eq=False)
class Aligned:
    """A language model tuned on objectives, and how that came about.

    Parameters
    ----------
    aligner : BrainAligner
        With the weights of the lowest validation loss, on the CPU, in evaluation mode.
    best_step, steps, planned_steps : int
        The step of these weights, how many were made, and how many all epochs have.
    start, best : mapping of str to float
        Losses on the validation stories and ``"r"``, before the first step and at the best one.
    moved : mapping of str to float
        ``||w - w0|| / ||w0||`` of each trained layer.
    cached : bool
        Whether states below the trained layers were computed once.
    history : tuple of mappings
        Lines of history.csv.
    """

    aligner: BrainAligner
    best_step: int
    steps: int
    planned_steps: int
    start: Mapping[str, float]
    best: Mapping[str, float]
    moved: Mapping[str, float]
    cached: bool
    history: tuple[Mapping[str, float], ...]


@dataclass(frozen=True, eq=False)
class ObjectiveRun:
    """One run of `align`."""

    aligner: BrainAligner
    material: tuple[StoryMaterial, StoryMaterial]
    settings: ObjectiveSettings
    folder: Path
    options: TuningOptions
    progress: Progress

    def run(self) -> Aligned:
        copied = objective_trainee(self.aligner, settings=self.settings)
        span = objective_span(self.aligner, self.settings, copied)
        self.folder.mkdir(parents=True, exist_ok=True)
        tables = [token_table(self.aligner, side, self.settings) for side in self.material]
        caches = [self._cache(span, table) for table in tables]
        pooled = [
            self._pooled(span, table, cache) for table, cache in zip(tables, caches, strict=True)
        ]
        responses = self._responses()
        started = None
        if self.settings.reads_brains:
            self.progress("heads", 0, 1)
            started = start_heads(pooled[0], responses[0], settings=self.settings)
        sides = self._sides(tables, pooled, responses, caches, started)
        model = self._model(copied, span, started)
        trainer = self._trainer(model, sides)
        start = self._start(trainer)
        state = self._train(trainer, sides[0].n_steps)
        trainer.accelerator.wait_for_everyone()
        finished = self._finished(model, state, start, cached=caches[0] is not None)
        trainer.accelerator.wait_for_everyone()  # the first process may clear the folder now
        return finished

    def _cache(self, span: LayerSpan, table: TokenTable) -> LayerCache | None:
        folder = self.options.states or self.folder / "states"
        folder.mkdir(parents=True, exist_ok=True)
        files = story_files(span, table, folder, width=self.aligner.info.width)
        if not wants_cache(self.settings, span.first, files, folder):
            return None
        device = _device(self.options)
        span.base.to(device)
        try:
            return keep_states(span, files, pad=table.pad, device=device, progress=self.progress)
        finally:
            span.base.to("cpu")

    def _pooled(self, span: LayerSpan, table: TokenTable, cache: LayerCache | None) -> Pooled:
        """Pooled states of each row before tuning: what scales them, and what heads start from."""
        device = _device(self.options)
        span.base.to(device)
        span.base.eval()
        try:
            if cache is None:
                return pooled_states(span, table, None, device=device, progress=self.progress)
            return kept_pooled(span, table, cache, device=device, progress=self.progress)
        finally:
            span.base.to("cpu")

    def _responses(self) -> Sequence[Mapping[str, Pooled]]:
        training, validation = self.material
        if not self.settings.reads_brains:
            return [{}, {}]
        if self.settings.nuisance == "none":
            return [training.responses, validation.responses]
        weights = training.nuisance_weights()
        return [_float32(side.freed(weights)) for side in self.material]

    def _sides(
        self,
        tables: list[TokenTable],
        pooled: Sequence[Pooled],
        responses: Sequence[Mapping[str, Pooled]],
        caches: list[LayerCache | None],
        started: StartedHeads | None,
    ) -> tuple[Side, Side]:
        vocabulary = None
        if self.settings.reads_tokens and self.aligner.info.kind == "encoder":
            vocabulary = read_vocabulary(self.aligner.tokenizer)
        whole = 0 if started is None else len(started.parts)
        known = (
            {} if started is None else {s: k for k, fold in enumerate(started.folds) for s in fold}
        )
        made = [
            Side(
                table,
                states,
                y,
                {story: known.get(story, whole) for story in table.rows},
                self.settings,
                vocabulary,
                cache,
            )
            for table, states, y, cache in zip(tables, pooled, responses, caches, strict=True)
        ]
        return made[0], made[1]

    def _model(
        self, copied: BrainAligner, span: LayerSpan, started: StartedHeads | None
    ) -> ObjectiveModel:
        anchor = self.settings.anchor
        reads_original = anchor is not None and anchor.kind == "kl"
        original = copy.deepcopy(self.aligner) if reads_original else None  # moves to the device
        subjects = self.material[0].subjects if self.settings.reads_brains else ()
        model = ObjectiveModel(
            copied, span, self.settings, started=started, subjects=subjects, original=original
        )
        if model.heads is not None and self.settings.heads.kind != "trained":
            for name, weight in model.heads.named_parameters():
                weight.requires_grad_(name.startswith("from_brain"))
        return model

    def _trainer(self, model: ObjectiveModel, sides: tuple[Side, Side]) -> ObjectiveTrainer:
        from brainaligner.aligner._objective_trainer import ObjectiveTrainer, objective_arguments
        from brainaligner.aligner._record import OBJECTIVE_COLUMNS, Recorder
        from brainaligner.aligner._resumable import claim_together

        n_steps = sides[0].n_steps
        arguments = objective_arguments(
            self.settings, self.options, self.folder, steps_per_epoch=n_steps
        )
        claim_together(arguments, self.folder, objective_digest(self.aligner, sides))
        recorder = Recorder(self.folder, self.progress, "tuning", OBJECTIVE_COLUMNS)
        trainer = ObjectiveTrainer(model, sides, arguments=arguments, recorder=recorder)
        torch.manual_seed(self.settings.seed * 1009 + arguments.process_index)
        return trainer

    def _start(self, trainer: ObjectiveTrainer) -> dict[str, float]:
        from brainaligner.aligner._objective_trainer import validation_losses

        trainer.model.to(trainer.args.device)
        return validation_losses(trainer.model, trainer.sides[1], trainer._prepare_inputs)

    def _train(self, trainer: ObjectiveTrainer, steps_per_epoch: int) -> dict[str, Any]:
        from brainaligner.aligner._objective_trainer import evaluation_steps, out_of_patience

        every = evaluation_steps(self.settings, steps_per_epoch)
        last = whole_checkpoints(self.folder)[-1:]
        states = [trainer_state(at) for at in last]
        over = [
            state["global_step"] >= self.settings.epochs * steps_per_epoch
            or out_of_patience(state, self.settings, every=every)
            for state in states
        ]
        if not any(over):
            trainer.train(resume_from_checkpoint=str(last[0]) if last else None)
            trainer.accelerator.wait_for_everyone()
        return trainer_state(whole_checkpoints(self.folder)[-1])

    def _finished(
        self, model: ObjectiveModel, state: dict[str, Any], start: dict[str, float], *, cached: bool
    ) -> Aligned:
        from safetensors.torch import load_file

        from brainaligner.aligner._record import OBJECTIVE_COLUMNS, history_rows

        model.to("cpu")
        at = self.folder / f"checkpoint-{state['best_global_step']}"
        model.load_state_dict(load_file(at / WEIGHTS), strict=False)
        finished = model.aligner.eval().requires_grad_(False)
        merge_lora(finished)
        history = history_rows(state["log_history"], OBJECTIVE_COLUMNS)
        best = next(
            line
            for line in history
            if line["step"] == state["best_global_step"] and "eval_loss" in line
        )
        return Aligned(
            finished,
            best_step=state["best_global_step"],
            steps=state["global_step"],
            planned_steps=state["max_steps"],
            start=start,
            best={k.removeprefix("eval_"): v for k, v in best.items() if k.startswith("eval_")},
            moved=moved_layers(self.aligner, finished, self.settings),
            cached=cached,
            history=history,
        )


def _device(options: TuningOptions) -> torch.device:
    return torch.device(options.device)


def _float32(responses: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    return {
        subject: {story: values.astype(np.float32) for story, values in stories.items()}
        for subject, stories in responses.items()
    }
