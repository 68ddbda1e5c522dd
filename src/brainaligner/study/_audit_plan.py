"""The audit of a planned study: what it declares, and its data, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from brainaligner.evaluation import Audit, Unproven, make_audit
from brainaligner.study._audit import guarded
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_declared import readout_recipes
from brainaligner.study._audit_entered import mixed_presentations
from brainaligner.study._audit_lineage import disjoint_faults, entries_of, not_chosen
from brainaligner.study._audit_subjects import subject_faults
from brainaligner.study._audit_truth import Truth
from brainaligner.study._audit_tuning import plain_protocol, tuning_recipes
from brainaligner.study._audit_withheld import proven_text
from brainaligner.study._audit_witness import Found
from brainaligner.study._config import StudyConfig
from brainaligner.study._lay_out import lay_out_study
from brainaligner.study._ledger_faults import ledger_faults
from brainaligner.study._options import RunOptions
from brainaligner.study._plan import Plan
from brainaligner.study._settings import canonical
from brainaligner.study._store import Store
from brainaligner.study._validation import scored_plan

DECLARED = (
    "no story that is to be scored is declared to be fitted or chosen on, by words or responses",
    "subjects and stories differ from each other",
)
"""What the audit of a plan without faults proves."""


def audit_study(config: StudyConfig, options: RunOptions) -> Audit:
    """Audit a study that has not run: nothing is computed but what `lay_out_study` needs.

    Parameters
    ----------
    config : StudyConfig
    options : RunOptions

    Raises
    ------
    InputError
        For whatever `run_study` would refuse.
    """
    plan, store = lay_out_study(config, options)
    return audit_plan(scored_plan(plan), store)


def audit_plan(plan: Plan, store: Store) -> Audit:
    """Judge what a study declares and what its data are, by the names of finished studies.

    Recipes of all that the scores will come from are compared, by the content of words and
    responses, with what will be scored. Stories and subjects are compared number for number.

    Parameters
    ----------
    plan : Plan
    store : Store
        Its ledger counts configurations that were scored on the same stories.
    """
    truth = Truth(plan)
    found = guarded("subjects and stories", "", lambda: subject_faults(truth))
    for run in plan.runs:
        for subject in plan.prepared.division.splits:
            arm = ArmAudit(plan, run, subject, store, truth)
            found += guarded("lineage", arm.where, partial(_declared_faults, arm))
    found += guarded("ledger", "", lambda: ledger_faults(plan, store))
    found.append(Unproven("numbers", "whole study", "nothing has been computed yet"))
    audit = make_audit(found)
    proven = [proven_text(plan, text) for text in DECLARED]
    return audit if audit.faults else make_audit(found, proven=proven)


def _declared_faults(arm: ArmAudit) -> Iterator[Found]:
    """What recipes say that is fitted and chosen on, against what is to be scored."""
    yield from plain_protocol(arm)
    yield from mixed_presentations(arm)
    scored = canonical(arm.scores.lineage)["scored_on"]
    tuned = tuning_recipes(arm)
    for i, readout in enumerate(arm.readouts):
        recipes = [*readout_recipes(arm, i), *tuned]
        stages = [(recipe.stage, canonical(recipe.lineage)) for recipe in recipes]
        if arm.chosen_on_scored:
            stages = [(stage, not_chosen(stage, of)) for stage, of in stages]
        yield from disjoint_faults(entries_of(scored, readout), stages, where=arm.where)
