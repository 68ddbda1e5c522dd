"""Whether BrainLM understands a study's parcels: masked reconstruction, without any label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from brainaligner.brain import (
    BrainLM,
    BrainLMSettings,
    BrainMaterial,
    ReconstructionCheck,
    ReconstructionSettings,
    load_brainlm,
    reconstruction_r2,
)
from brainaligner.core import InputError, unknown_name
from brainaligner.study._brain import brain_material, checkpoint_folder
from brainaligner.study._brain_check import check_brain
from brainaligner.study._brain_task import BrainTask
from brainaligner.study._config import StudyConfig
from brainaligner.study._lay_out import lay_out_study
from brainaligner.study._options import RunOptions
from brainaligner.study._plan import Plan
from brainaligner.study._progress import Reporter


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Masked reconstruction in one subject.

    Parameters
    ----------
    brain, subject : str
        Entry of the study's ``brains``, and whose parcels these are.
    parcels : int
        How many of the 424 hold voxels.
    stories : tuple of str
        Training stories that were looked at.
    settings : BrainLMSettings
        The study's: its gain and step are among those that were tried.
    check : ReconstructionCheck
    shuffled_r2 : float
        R2 at the best gain and step with parcels in an order drawn at random: what scale and
        smoothness in time alone give.
    random_weights, simulated : bool
        Whether the weights were drawn, and the responses made up.
    """

    brain: str
    subject: str
    parcels: int
    stories: tuple[str, ...]
    settings: BrainLMSettings
    check: ReconstructionCheck
    shuffled_r2: float
    random_weights: bool
    simulated: bool

    @property
    def own_r2(self) -> float:
        """R2 at the study's own gain and step."""
        gain = self.check.gains.index(self.settings.input_gain)
        step = self.check.target_trs.index(self.settings.target_tr)
        return float(self.check.r2[gain, step])


def reconstruct(
    config: StudyConfig,
    options: RunOptions,
    *,
    brain: str | None = None,
    n_stories: int,
    reporter: Reporter,
) -> Iterator[Reconstruction]:
    """Hide patches of training stories and see how well a study's BrainLM fills them in.

    Parameters
    ----------
    config : StudyConfig
    options : RunOptions
    brain : str, optional
        Entry of ``brains``; all with a BrainLM when left out.
    n_stories : int
        Training stories of each subject to look at, spread evenly over the list of them.

    Raises
    ------
    InputError
        If no tuning of the study reads such a brain, or its parcels or weights cannot be used.
    """
    if n_stories < 1:
        raise InputError("stories", got=str(n_stories), wanted="1 or more", do="Correct it.")
    plan, _ = lay_out_study(config, options, check=False)
    tasks = _tasks(plan, brain)
    for task in tasks:
        _check(task)
    for task in tasks:
        yield _of_subject(task, options, n_stories, reporter)


def _tasks(plan: Plan, brain: str | None) -> list[BrainTask]:
    """One of each brain and subject: folds differ in stories alone."""
    found: dict[tuple[str, str], BrainTask] = {}
    for tuning in plan.tunings.values():
        for task in tuning.brains:
            if task.config.brainlm is not None:
                found.setdefault((task.name, task.source), task)
    names = sorted({name for name, _ in found})
    if not names:
        raise InputError(
            "brains",
            got="no BrainLM that a tuning reads",
            wanted="an entry with brainlm, and a tuning whose brain it is",
            do="See 'brainaligner studies show report-table1'.",
        )
    if brain is not None and brain not in names:
        raise unknown_name("--brain", "BrainLM", brain, names)
    return [task for (name, _), task in found.items() if brain in (None, name)]


def _check(task: BrainTask) -> None:
    check_brain(task)
    if task.brainlm_config().norm_pix_loss:
        raise InputError(
            f"brains.{task.name}",
            got="a model trained on standardised patches (norm_pix_loss)",
            wanted="one that reconstructs the values themselves",
            do="Its reconstruction says nothing of scale: leave this check out.",
        )


def _of_subject(
    task: BrainTask, options: RunOptions, n_stories: int, reporter: Reporter
) -> Reconstruction:
    assert task.parcels is not None
    assert task.series is not None
    assert task.config.brainlm is not None
    material, own = brain_material(task), task.config.brainlm
    checkpoint = load_brainlm(checkpoint_folder(task), device=options.device, decoder=True)
    tried = _settings(own, _spread(material.fitted_on, n_stories))
    reporter.line(f"{task.name}, {task.source}: {len(tried.stories)} stories")
    found = _r2(task, material, checkpoint, tried, task.parcels.coordinates, reporter)
    gain, step, _ = found.best
    mixed = np.random.default_rng(tried.seed).permutation(task.parcels.coordinates)
    alone = replace(tried, gains=(gain,), target_trs=(step,))
    shuffled = _r2(task, material, checkpoint, alone, mixed, reporter)
    return Reconstruction(
        task.name,
        task.source,
        int(np.count_nonzero(np.array(task.series.coverage))),
        tried.stories,
        own,
        found,
        shuffled.best[2],
        random_weights=task.config.random is not None,
        simulated=task.prepared.simulated,
    )


def _settings(own: BrainLMSettings, stories: tuple[str, ...]) -> ReconstructionSettings:
    """The usual grid, and the study's own gain and step within it."""
    usual = ReconstructionSettings()
    gains = tuple(sorted({*usual.gains, own.input_gain}))
    steps = tuple(dict.fromkeys((own.target_tr, *usual.target_trs)))
    return replace(usual, gains=gains, target_trs=steps, stories=stories)


def _r2(
    task: BrainTask,
    material: BrainMaterial,
    checkpoint: BrainLM,
    settings: ReconstructionSettings,
    coordinates: np.ndarray,
    reporter: Reporter,
) -> ReconstructionCheck:
    return reconstruction_r2(
        material,
        checkpoint=checkpoint,
        coordinates=coordinates,
        tr=task.prepared.dataset.clock.tr,
        settings=settings,
        progress=reporter,
    )


def _spread(stories: tuple[str, ...], n: int) -> tuple[str, ...]:
    places = np.linspace(0, len(stories) - 1, min(n, len(stories))).round().astype(int)
    return tuple(stories[k] for k in dict.fromkeys(places.tolist()))
