"""Whether a dataset has what a brain encoder needs: asked before any work."""

from __future__ import annotations

from brainaligner.brain import N_PARCELS, check_pca_width
from brainaligner.core import InputError
from brainaligner.study._brain_task import BrainTask
from brainaligner.study._tuning_config import BRAINLM, NEED_FEATURES


def check_brain(task: BrainTask) -> None:
    """Refuse a dataset that lacks what the encoder needs.

    Raises
    ------
    InputError
    """
    config = task.config
    fault = _other_subject(task) or _lacking(task)
    if fault is not None:
        raise InputError(
            f"brains.{task.name}, {task.source}",
            got=f"{fault[0]} ({task.recording.n_targets} {task.recording.kind})",
            wanted=f"{fault[1]}: {config.kind} needs them",
            do="Add them, or leave this brain encoder out.",
        )
    if config.brainlm is not None:
        config.brainlm.block(task.brainlm_config())
    if config.encoder is not None and config.kind == "pca":
        recording = task.recording
        rows = sum(recording.rows(story) for story in task.division.train)
        check_pca_width(task.source, config.encoder.width, recording.n_targets, rows)


def _other_subject(task: BrainTask) -> tuple[str, str] | None:
    if task.config.subject == "own":
        return None
    if task.source == task.subject:
        return "one subject, and subject: next", "responses of another subject"
    heard = task.prepared.dataset.stories(task.source)
    missing = [story for story in task.division.stories if story not in heard]
    if missing:
        return f"no responses to {missing[0]!r}", f"all stories that {task.subject} is tuned on"
    return None


def _lacking(task: BrainTask) -> tuple[str, str] | None:
    kind = task.config.kind
    if kind == "high_ev" and not task.repeated:
        return "no story with single presentations", "repeats"
    if kind in NEED_FEATURES and task.features is None:
        return "no features", "'features', an entry of the study"
    encoder, fitted = task.config.encoder, len(task.division.train)
    if kind == "encoding_selection" and encoder is not None and fitted < encoder.n_folds:
        return f"{fitted} stories to fit on{task.division.place}", f"n_folds ({encoder.n_folds})"
    return _lacking_parcels(task) if kind == BRAINLM else None


def _lacking_parcels(task: BrainTask) -> tuple[str, str] | None:
    wanted = "'parcels', a file of 'brainaligner data parcels'"
    if task.series is None:
        return "no parcels", wanted
    if task.parcels is None:
        return "no coordinates of parcels", wanted
    n_parcels = len(task.series.coverage)
    if (n_parcels, len(task.parcels.coordinates)) != (N_PARCELS, N_PARCELS):
        return f"{n_parcels} parcels", f"the {N_PARCELS} of the atlas A424"
    return None
