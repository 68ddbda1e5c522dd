"""``brainaligner search``: which settings of an arm do best on validation stories?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brainaligner.study import _completion as complete
from brainaligner.study._printing import (
    DEFAULT_OUT,
    AsJson,
    BatchTokens,
    Data,
    Device,
    Out,
    Set,
    Study,
    TargetBlock,
    Threads,
    help_end,
    print_json,
    print_table,
    stoppable,
)

if TYPE_CHECKING:
    from brainaligner.study._search import SearchPlan
    from brainaligner.study._search_files import Found
    from brainaligner.study._search_trial import Search

EXAMPLES = help_end(
    "search my.yaml --space space.yaml --arm tuned --trials 40",
    "search baseline --space space.yaml --arm layer4-with-nuisance --trials 8 --data ~/data --plan",
    more="A space file has lines such as\n\n"
    "  tunings.tuned.aligner.learning_rate: {low: 1.0e-5, high: 1.0e-3, log: true}\n\n"
    "  tunings.tuned.aligner.trained_layers: {choices: [1, 2, 3]}\n\n"
    "  features.tuned.text.layer: {low: 2, high: 6}",
)


def search(
    study: Study,
    space: Annotated[
        Path, typer.Option("--space", help="YAML file: dotted keys, each a range or choices.")
    ],
    arm: Annotated[
        str,
        typer.Option(
            "--arm", help="Arm whose validation scores are compared.", autocompletion=complete.arms
        ),
    ],
    trials: Annotated[
        int, typer.Option("--trials", help="Trials in all, those of earlier calls among them.")
    ],
    seed: Annotated[int, typer.Option("--seed", help="Seed of the tuner.")] = 0,
    data: Data = None,
    out: Out = DEFAULT_OUT,
    device: Device = "cpu",
    threads: Threads = None,
    overrides: Set = None,
    batch_tokens: BatchTokens = 4_096,
    target_block: TargetBlock = 8_192,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what a trial would take; run nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Search settings of an arm for the best mean r on validation stories.

    Each trial runs the arm with other settings, suggested by Optuna (TPE) from the trials before.
    Test stories stay closed. The same command goes on where it was stopped, however rudely.
    """
    from brainaligner.study._options import RunOptions
    from brainaligner.study._search import check_trials, plan_search, run_search
    from brainaligner.study._search_space import read_space
    from brainaligner.study._search_trial import Search

    check_trials(trials)
    options = RunOptions(out, data, device, threads, batch_tokens, target_block)
    wanted = Search(study, read_space(space), arm, tuple(overrides or ()), seed)
    with stoppable():
        if plan:
            _show_plan(wanted, plan_search(wanted, options), trials, as_json=as_json)
        else:
            _show(run_search(wanted, options, trials=trials), as_json=as_json)


def _show(found: Found, *, as_json: bool) -> None:
    from brainaligner.study._search_files import BEST, TSV, search_record, search_rows

    if as_json:
        print_json(search_record(found))
        return
    print("mean r on validation stories, which also chose alpha: for comparing, not for a claim")
    print_table(*search_rows(found))
    print(f"trials: {found.folder / TSV}")
    print(f"best study: {found.folder / BEST}")


def _show_plan(wanted: Search, planned: SearchPlan, trials: int, *, as_json: bool) -> None:
    from brainaligner.study._screen import plan_lines, plan_rows

    size, warnings = wanted.space.size, planned.checked.warnings
    if as_json:
        speed, stages = planned.speed, planned.speed.record(planned.stages)
        priced = {"operations_per_second": speed.by_precision, "stages": stages}
        found = {"trials": trials, "combinations": size, "space": wanted.space.record()}
        print_json(found | {"warnings": list(warnings)} | priced)
        return
    print("one trial, with the study's own settings:")
    print_table(
        ["stage", "what", "time", "memory", "disk"], plan_rows(planned.stages, planned.speed)
    )
    for line in plan_lines(planned.stages, planned.speed):
        print(line)
    print(
        f"trials: {trials} of {'endlessly many' if size is None else size} combinations of "
        f"{len(wanted.space.entries)} settings; what they share is made once"
    )
    for warning in warnings:
        print(f"WARNING {warning}")
