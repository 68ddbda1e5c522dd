"""Tables and remarks on tuned models, beside those of all scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from brainaligner.aligner import LEAST_SHIFT
from brainaligner.evaluation import Finding
from brainaligner.report import Column, PublishedLayout, RunReport, Table, published_table
from brainaligner.study._null_tunings import null_findings
from brainaligner.study._plan import Plan
from brainaligner.study._tuning import TuningFacts

_BITS = ("true", "shifted", "none", "plain", "unigram")
_NOTES = (
    ("Bits", "per masked token on the aligner's own validation stories, same masks throughout"),
    ("True, shifted, none", "of the tuned model, with that brain beside the words"),
    ("Shifted", f"by {LEAST_SHIFT} rows or more; n/a where a story has under {2 * LEAST_SHIFT}"),
    ("Plain", "of the model before tuning, without brain"),
    ("Unigram", "from word frequencies of the aligner's training stories alone"),
    ("Moved", "||w - w0|| / ||w0|| of the group of weights that moved most"),
    ("Folds", "of a cross-fitted tuning: range of epochs, mean of all else; run.json has each"),
)


def more_tables(
    plan: Plan, report: RunReport, tunings: Sequence[TuningFacts]
) -> list[tuple[str, Table]]:
    """Tables of the published layout, and of how the tunings went."""
    tables = [
        (f"As the report's table {layout.table}", published_table(report, layout))
        for layout in _layouts(plan)
    ]
    if tunings:
        tables.append(("How the tunings went", tuning_table(tunings, simulated=report.simulated)))
    return tables


def _layouts(plan: Plan) -> Iterator[PublishedLayout]:
    if plan.prepared.config.scored_on == "validation":
        return  # the published layout is one of test scores
    by_entry: dict[str, tuple[str, ...]] = {}
    for run in plan.runs:
        by_entry[run.entry] = (*by_entry.get(run.entry, ()), run.name)
    for table in plan.prepared.config.published:
        yield PublishedLayout(
            table.table,
            {row: by_entry[arm] for row, arm in table.rows.items()},
            {row: by_entry[arm] for row, arm in table.with_nuisance.items()},
        )


def tuning_table(tunings: Sequence[TuningFacts], *, simulated: bool) -> Table:
    """One row for each subject and seed: training, distance moved, masked-token bits.

    Fold models of one tuning stand in one row: epochs as a range, all else as means.
    """
    columns = (
        Column("subject, seed"),
        Column("tuning"),
        *(Column(name, "epochs") for name in ("best", "run")),
        Column("most", "moved"),
        *(Column(name, "bits per masked token") for name in _BITS),
    )
    title = "Tuned models, and whether the brain helped to fill in words"
    banner = "SIMULATED DATA: " if simulated else ""
    by_row: dict[tuple[str, str, int], list[TuningFacts]] = {}
    for facts in tunings:
        by_row.setdefault((facts.tuning, facts.subject, facts.seed), []).append(facts)
    rows = sorted((_row(models) for models in by_row.values()), key=lambda row: row[1])
    return Table(banner + title, columns, tuple(rows), _NOTES)


def _row(models: Sequence[TuningFacts]) -> tuple[str, ...]:
    """One model, or those of all folds together."""
    facts = models[0]
    bits = [[model.bits[name] for model in models if name in model.bits] for name in _BITS]
    folds = "" if facts.fold is None else f", {len(models)} folds"
    return (
        f"{facts.subject}, {facts.seed}",
        f"{facts.tuning} (brain: {facts.brain}{folds})",
        _range([model.best_epoch for model in models]),
        _range([model.epochs for model in models]),
        f"{fmean(max(model.moved.values(), default=0.0) for model in models):.2%}",
        *(f"{fmean(values):.3f}" if len(values) == len(models) else "n/a" for values in bits),
    )


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def tuning_findings(plan: Plan) -> tuple[Finding, ...]:
    """What a reader must know of arms that read tuned models."""
    found = []
    for run in plan.runs:
        tasks = [
            task
            for subject in plan.prepared.division.splits
            for task, _ in plan.tunings_of(run, subject)
        ]
        if any(task.brains and task.division.fold is None for task in tasks):
            found.append(Finding("warn", run.name, _NOT_CROSS_FITTED))
        if any(brain.config.random is not None for task in tasks for brain in task.brains):
            found.append(Finding("warn", run.name, _RANDOM))
        seen = sorted({story for task in tasks for story in task.chosen_on})
        if seen:
            found.append(Finding("warn", run.name, _SELECTED.format(", ".join(seen))))
    return (*found, *null_findings(plan.prepared.config))


_NOT_CROSS_FITTED = (
    "the model was tuned on the brain activity of stories that its ridge is fitted on too: the "
    "report's plain protocol, without cross-fitting"
)
_RANDOM = "its fMRI foundation model has random weights: nobody trained it"
_SELECTED = "voxels were chosen on {}, which is therefore not scored for this arm"
