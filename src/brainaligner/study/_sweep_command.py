"""``brainaligner sweep``: one study under several values of its settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from brainaligner.study import _completion as complete
from brainaligner.study._printing import (
    DEFAULT_OUT,
    AsJson,
    Data,
    Device,
    Out,
    Set,
    Study,
    Threads,
    help_end,
    print_json,
    print_table,
    stoppable,
)

if TYPE_CHECKING:
    from brainaligner.study._speed import Speed
    from brainaligner.study._sweep import PlannedVariant, Swept

EXAMPLES = help_end(
    "sweep my-study.yaml --over tunings.es.aligner.mask_rate=[0.15,0.3] "
    "--over defaults.design.scaling=[none,story]",
    "sweep my-study.yaml --over defaults.design.scaling=[none,story] --plan",
)


def sweep(
    study: Study,
    over: Annotated[
        list[str],
        typer.Option(
            metavar="KEY=[VALUES]",
            help="A setting and its values; all combinations.",
            autocompletion=complete.settings,
        ),
    ],
    data: Data = None,
    out: Out = DEFAULT_OUT,
    device: Device = "cpu",
    threads: Threads = None,
    overrides: Set = None,
    test: Annotated[
        bool,
        typer.Option("--test", help="Score test stories too: each combination is an opening."),
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what it would take; run nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a study under several values of its settings, and rank them on validation stories.

    What the combinations share is computed once. Test stories stay closed without --test.
    """
    from brainaligner.study._files import load_study
    from brainaligner.study._options import RunOptions
    from brainaligner.study._sweep import plan_sweep, run_sweep, sweep_variants

    variants = sweep_variants(study, overrides or [], over)
    options = RunOptions(out, data, device, threads)
    name = load_study(study, overrides=overrides or []).name
    with stoppable():
        if plan:
            _show_plan(*plan_sweep(variants, options, test=test), as_json=as_json)
        else:
            _show(run_sweep(variants, options, name=name, test=test), as_json=as_json)


def _show(swept: Swept, *, as_json: bool) -> None:
    from brainaligner.study._sweep import ranking_rows, sweep_record

    if as_json:
        print_json(sweep_record(swept))
        return
    if swept.ranked:
        print("validation stories, mean over stories and subjects, 95 % interval over stories:")
        print_table(*ranking_rows(swept))
    print(f"table: {swept.table}")
    print(f"ranking: {swept.ranking}")


def _show_plan(planned: Sequence[PlannedVariant], speed: Speed, *, as_json: bool) -> None:
    from brainaligner.study._screen import plan_lines, plan_rows

    stages = [stage for one in planned for stage in one.stages]
    if as_json:
        variants = [{"study": one.study, "values": dict(one.values)} for one in planned]
        priced = [speed.record(one.stages) for one in planned]
        both = [one | {"stages": own} for one, own in zip(variants, priced, strict=True)]
        print_json({"operations_per_second": speed.by_precision, "variants": both})
        return
    rows = [[one.study, *plan_rows(one.stages, speed)[-1][2:]] for one in planned]
    print("what each adds to those before it:")
    print_table(
        ["study", "time", "memory", "disk"], [*rows, ["all", *plan_rows(stages, speed)[-1][2:]]]
    )
    for line in plan_lines(stages, speed):
        print(line)
