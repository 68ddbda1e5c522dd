"""The audit of a study that is running or finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from brainaligner.evaluation import Audit, Fault, Unproven, make_audit
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_beside import (
    ceiling_faults,
    contrast_faults,
    significance_faults,
    summary_faults,
)
from brainaligner.study._audit_declared import declared_recipes
from brainaligner.study._audit_entered import arm_faults
from brainaligner.study._audit_features import FeatureAudit, feature_faults
from brainaligner.study._audit_files import file_faults
from brainaligner.study._audit_folds import alignment_faults
from brainaligner.study._audit_lineage import StoredRecipes, lineage_faults
from brainaligner.study._audit_numbers import number_faults
from brainaligner.study._audit_subjects import subject_faults
from brainaligner.study._audit_truth import Truth
from brainaligner.study._audit_tuning import tuning_faults
from brainaligner.study._audit_withheld import proven_texts, withheld_faults
from brainaligner.study._audit_witness import Found
from brainaligner.study._disk import read_json, write_json
from brainaligner.study._features import FeatureSpace
from brainaligner.study._ledger_faults import ledger_faults
from brainaligner.study._plan import Plan
from brainaligner.study._progress import Reporter, reporting
from brainaligner.study._reopened import reopen_run
from brainaligner.study._store import Recipe, Store

_CHECK_VERSION = 5
PROVEN = {
    "no scored row was fitted or chosen on, number for number": {"witness", "lineage"},
    "no scored row was fitted or chosen on after rescaling": {"witness", "near-rows"},
    "responses that entered are the dataset's, read again": {"witness"},
    "designs that entered follow from stored features and words": {"witness", "designs"},
    "features are what the model gives for the text alone, for a sample of stories": {"features"},
    "words of scored stories reached no tuning": {"witness"},
    "subjects and stories differ from each other": {"same-story-two-names"},
    "scores of a sample of targets were computed again": {"witness"},
    "penalties and predictions of a sample of targets were computed again": {"predictions"},
}
"""What an audit without faults proves, and the checks that it takes."""


@dataclass(frozen=True, eq=False)
class Auditor:
    """A study's plan and store, about to be audited.

    Parameters
    ----------
    plan : Plan
    store : Store
    device : str
    thorough : bool
        Compute more again, and trust no check that was made before.
    folder : Path, optional
        Of the run's files, to be compared with the store; not before they are written.
    """

    plan: Plan
    store: Store
    device: str = "cpu"
    thorough: bool = False
    folder: Path | None = None

    def audit(self, reporter: Reporter) -> Audit:
        """Judge everything that the study's scores come from."""
        truth = Truth(self.plan)
        found = guarded("subjects and stories", "", lambda: subject_faults(truth))
        arms = [
            ArmAudit(self.plan, run, subject, self.store, truth)
            for run in self.plan.runs
            for subject in self.plan.prepared.division.splits
        ]
        stored = StoredRecipes(self.store)
        for done, arm in enumerate(arms, start=1):
            found += self._arm(arm, stored)
            arm.forget()
            reporter("audit", done, len(arms))
        found += guarded("features", "", lambda: self._features(truth))
        found += guarded("withheld", "", lambda: withheld_faults(arms, stored))
        found += guarded("ledger", "", lambda: ledger_faults(self.plan, self.store))
        contrasts = partial(contrast_faults, self.plan, self.store, arms, thorough=self.thorough)
        found += guarded("contrast", "", contrasts)
        if self.thorough:
            for name, check in (
                ("significance", significance_faults),
                ("ceilings", ceiling_faults),
            ):
                found += guarded(name, "", partial(check, self.plan, self.store))
        found += self._left_open()
        if self.folder is not None:
            folder = self.folder
            files = partial(file_faults, folder, arms, self.store)
            found += guarded("files", folder.name, files)
        return _with_proven(make_audit(found), proven_texts(self.plan, PROVEN))

    def _left_open(self) -> Iterator[Unproven]:
        """What no check makes again, said in every audit."""
        yield Unproven(
            "judgements",
            "whole study",
            "intervals, nulls, diagnostics and what test stories can show are not made again",
        )
        tested = self.plan.prepared.config.significance is not None
        if not self.thorough and (tested or self.plan.prepared.ceilings):
            yield Unproven(
                "significance",
                "whole study",
                "p and noise ceilings are not computed again: brainaligner audit does",
            )

    def _arm(self, arm: ArmAudit, stored: StoredRecipes) -> list[Found]:
        checks: dict[str, Callable[[], Iterator[Found]]] = {
            "rows": lambda: arm_faults(arm),
            "numbers": lambda: number_faults(arm, thorough=self.thorough),
            "summaries": lambda: summary_faults(arm),
            "folds": lambda: alignment_faults(arm),
            "tunings": lambda: tuning_faults(arm, thorough=self.thorough),
            "lineage": lambda: lineage_faults(
                stored,
                arm.scores,
                declared_recipes(arm),
                where=arm.where,
                readouts=arm.readouts,
                chosen_on_scored=arm.chosen_on_scored,
            ),
        }
        return [one for name, check in checks.items() for one in guarded(name, arm.where, check)]

    def _features(self, truth: Truth) -> Iterator[Found]:
        for (_, subject, *_), space in self.plan.spaces.items():
            responses = truth.responses(subject or truth.subjects[0])
            tuned = "tuning" in space.recipe.inputs
            one = FeatureAudit(
                space,
                self.plan.prepared.division.stimuli,
                responses,
                tuned,
                self.store,
                self.device,
            )
            yield from self._checked(one, space)

    def _checked(self, one: FeatureAudit, space: FeatureSpace) -> list[Found]:
        """Features are computed again once; the thorough form does so each time."""
        stories = self._sampled_stories()
        if self.thorough or not self.store.has(space.recipe):
            return list(feature_faults(one, stories))
        recipe = Recipe(
            "checks", _CHECK_VERSION, {"stories": stories}, {"features": space.recipe.key}
        )
        if self.store.has(recipe):
            kept = read_json(self.store.path(recipe) / "found.json")
            return [Fault(**fault) for fault in kept]
        found = list(feature_faults(one, stories))
        if not any(isinstance(f, Unproven) for f in found):
            kept = [asdict(f) for f in found]
            self.store.ensure(recipe, lambda to: write_json(to / "found.json", kept))
        return found

    def _sampled_stories(self) -> list[str]:
        """The shortest story that is scored; the thorough form takes all, and one that fits."""
        rows = self.plan.prepared.division.stimuli.rows
        folds = [f for s in self.plan.prepared.division.splits.values() for f in s.folds]
        scored = sorted({p.story for f in folds for p in f.test}, key=lambda s: (rows[s], s))
        fitted = sorted({p.story for f in folds for p in f.train}, key=lambda s: (rows[s], s))
        chosen = [*scored, fitted[0]] if self.thorough else scored[:1]
        return list(dict.fromkeys(chosen))


def _with_proven(audit: Audit, texts: Mapping[str, set[str]]) -> Audit:
    """What is in order: nothing where anything is not, and nothing that was not looked at."""
    not_made = {one.name for one in audit.unproven}
    broken = any(one.name == "check-failed" for one in audit.warnings)
    proven = [text for text, checks in texts.items() if not checks & not_made]
    return replace(audit, proven=() if audit.faults or broken else tuple(proven))


def guarded(name: str, where: str, check: Callable[[], Iterator[Found]]) -> list[Found]:
    """All that a check finds; where it breaks off, that is said, and the run goes on.

    What an audit reads may have been altered in any way, so a check may fail in any way: no
    kind of exception is foreseen, and none may cost a user the results of a finished run.
    """
    kept: list[Found] = []
    try:
        for one in check():
            kept.append(one)  # what was found before it broke stays
    except Exception as error:
        said = f"the check of {name} broke off: {str(error).splitlines()[0] if str(error) else ''}"
        kept.append(Fault("check-failed", where, type(error).__name__, said[:300]))
    return kept


def audit_run(
    folder: Path,
    *,
    data: str | Path | None = None,
    out: Path | None = None,
    thorough: bool = True,
) -> Audit:
    """Audit a finished run: its recipes, what entered its computations, and a sample of numbers.

    The dataset is read again. No result is written.

    Parameters
    ----------
    folder : Path
        Of the run, such as ``runs/demo``.
    data : str or Path, optional
        Folder of the data; the study file and BRAINALIGNER_DATA are asked otherwise.
    out : Path, optional
        Folder that holds the store; default: the folder beside.
    thorough : bool
        Compute more again, and trust no check that was made before.

    Returns
    -------
    Audit

    Raises
    ------
    InputError
        If there is no finished run, or its data are not there.
    """
    with reporting() as reporter:
        plan, store = reopen_run(folder, data=data, out=out, reporter=reporter)
        return Auditor(plan, store, thorough=thorough, folder=folder).audit(reporter)
