"""Whether features of cross-fitted models were brought together by training text alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from brainaligner.evaluation import Fault, Unproven
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_truth import Truth
from brainaligner.study._audit_witness import Found, artifact
from brainaligner.study._designs import word_design
from brainaligner.study._disk import read_array
from brainaligner.study._fold_features import CrossFittedSpace, FoldModel

_ROUNDING = 1e-3


def alignment_faults(arm: ArmAudit) -> Iterator[Found]:
    """Make the rotations of all fold models that an arm reads again.

    A rotation R of features A to frozen ones B, ``argmin_R ||A R - B||`` with ``R'R = I``, is the
    polar factor of ``A'B`` (Schoenemann 1966): the one orthogonal R for which ``R'A'B`` is
    symmetric
    and has no negative eigenvalue.
    """
    for task in arm.tasks:
        for space in word_design(task.design).crossed:
            for model in space.models:
                yield from _model_faults(arm, space, model)


def _model_faults(arm: ArmAudit, space: CrossFittedSpace, model: FoldModel) -> Iterator[Found]:
    recipe, truth = space.alignment(model), arm.truth
    path = artifact(arm.store, recipe, "rotation.npz")
    if path is None:
        yield Unproven("designs", arm.where, "an alignment is not in the store")
        return
    rotation = read_array(path, "rotation")
    flaw = truth.remember(f"alignment/{recipe.key}", lambda: _flaw(truth, space, model, rotation))
    if flaw:
        yield Fault(
            "features-not-reproduced",
            f"{arm.where}: {model.space.name}",
            flaw,
            "fold features are not aligned by the training text",
        )


def _flaw(truth: Truth, space: CrossFittedSpace, model: FoldModel, rotation: np.ndarray) -> str:
    """What is wrong with a rotation; empty where nothing is."""
    width = space.width
    if rotation.shape != (width, width):
        return f"shape {rotation.shape}"
    if np.abs(rotation.T @ rotation - np.eye(width)).max() > _ROUNDING:
        return "no rotation"
    cross = np.zeros((width, width))
    for story, n_rows in space.train.items():
        moved, fixed = (
            truth.again.features(one, story, n_rows, scaled=space.within_story)
            for one in (model.space, space.frozen)
        )
        cross += moved.astype(np.float64).T @ fixed.astype(np.float64)
    turned = rotation.T @ cross
    room = _ROUNDING * float(np.abs(np.linalg.eigvalsh(turned + turned.T)).max() + 1e-30)
    skewed = float(np.abs(turned - turned.T).max())
    lowest = float(np.linalg.eigvalsh(turned + turned.T)[0])
    return (
        f"off by {max(skewed, -lowest) / room * _ROUNDING:.2g}"
        if (skewed > room or -lowest > room)
        else ""
    )
