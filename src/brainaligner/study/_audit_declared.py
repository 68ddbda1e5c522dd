"""What a study declares that it makes: the recipes behind each readout, before anything is made."""

from __future__ import annotations

from brainaligner.study._audit_arm import ArmAudit, is_one_stage
from brainaligner.study._audit_tuning import tuning_recipes
from brainaligner.study._projected import ProjectedDesign
from brainaligner.study._readout import decomposition_recipe
from brainaligner.study._store import Recipe


def declared_recipes(arm: ArmAudit) -> list[Recipe]:
    """Recipes of all that the scores of an arm come from, but for plain features."""
    found = [recipe for i in range(len(arm.tasks)) for recipe in readout_recipes(arm, i)]
    return found + tuning_recipes(arm)


def readout_recipes(arm: ArmAudit, i: int) -> list[Recipe]:
    """Recipes of one readout, of its decomposition and of the projection that it reads."""
    task, found = arm.tasks[i], [arm.readouts[i].recipe]
    if task.design.arm.banded is None and not is_one_stage(task):
        found.append(decomposition_recipe(task))
    if isinstance(task.design, ProjectedDesign):
        projection = task.design.task
        found.append(task.design.recipe)
        if not projection.folds:
            found.append(decomposition_recipe(projection.sharing(projection.common)))
    return found
