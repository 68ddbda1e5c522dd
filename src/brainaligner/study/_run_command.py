"""``brainaligner run``, ``demo`` and ``show``: a study, its plan, and what came of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from brainaligner.core import InputError
from brainaligner.study._audit_command import audit_lines, exit_if_not_valid
from brainaligner.study._printing import (
    DEFAULT_OUT,
    AsJson,
    BatchTokens,
    Data,
    Device,
    FinishedRun,
    Language,
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
    from brainaligner.study._cluster_config import ClusterConfig
    from brainaligner.study._options import RunOptions

RUN_EXAMPLES = help_end(
    "run baseline --data ~/data",
    "run my-study.yaml --device cuda --set evaluation.level=0.9",
    "run my-study.yaml --validation",
    "run my-study.yaml --cluster cluster.yaml",
    "run report-table1 --data ~/ds003020 --plan",
)
DEMO_EXAMPLES = help_end("demo", "demo --plan", "demo --json > demo.json")
SHOW_EXAMPLES = help_end("show runs/baseline", "show runs/baseline --json")
Plan = Annotated[
    bool,
    typer.Option("--plan", help="Say what it would take and what its audit says; run nothing."),
]


def run(
    study: Study,
    data: Data = None,
    out: Out = DEFAULT_OUT,
    device: Device = "cpu",
    threads: Threads = None,
    overrides: Set = None,
    batch_tokens: BatchTokens = 4_096,
    target_block: TargetBlock = 8_192,
    nulls: Annotated[
        bool, typer.Option("--nulls", help="Score null features and responses of every arm too.")
    ] = False,
    plan: Plan = False,
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="Run it once more, on stories that were never scored."),
    ] = False,
    validation: Annotated[
        bool,
        typer.Option("--validation", help="Score validation stories; read no test responses."),
    ] = False,
    cluster: Annotated[
        Path | None,
        typer.Option(
            "--cluster", metavar="FILE", help="Run on many workers or a queue (docs/cluster.md)."
        ),
    ] = None,
    language: Language = "en",
    as_json: AsJson = False,
) -> None:
    """Run a study: tuned models, features, ridge, scores, table and page.

    A run that was stopped, however rudely, goes on where it was when the same command is
    given again; a changed setting recomputes only what depends on it.
    """
    from brainaligner.study._options import RunOptions

    options = RunOptions(out, data, device, threads, batch_tokens, target_block, language)
    workers = None if cluster is None else _workers(cluster, options)
    changes = [*(overrides or []), *(["nulls=true"] if nulls else [])]
    if confirm:
        _check_confirm(validation=validation, cluster=cluster is not None, plan=plan)
    if plan:
        _show_plan(study, options, changes, workers, validation=validation, as_json=as_json)
    else:
        on = {"confirm": confirm, "validation": validation, "as_json": as_json}
        _run_and_show(study, options, changes, cluster=workers, **on)


def _check_confirm(*, validation: bool, cluster: bool, plan: bool) -> None:
    """Refuse what does not go with ``--confirm``."""
    beside = {
        "--validation": (validation, "Compare on validation stories first; confirm at the end."),
        "--cluster": (cluster, "Confirm on one machine: what divisions share is in the store."),
        "--plan": (plan, "Plan without it: the last configuration on other stories costs as much."),
    }
    for option, (given, do) in beside.items():
        if given:
            raise InputError(f"--confirm and {option}", got="both", wanted="one of the two", do=do)


def _workers(cluster: Path, options: RunOptions) -> ClusterConfig:
    """What the cluster's file says; it says on what and with how many threads workers run."""
    from brainaligner.study._cluster_config import read_cluster

    beside = {"--device": options.device != "cpu", "--threads": options.threads is not None}
    for option in (option for option, given in beside.items() if given):
        raise InputError(
            f"--cluster and {option}",
            got="both",
            wanted="one of the two: workers do not read the option",
            do=f"Write {option.removeprefix('--')} under cpu and gpu in the cluster's file.",
        )
    return read_cluster(cluster)


def _show_plan(
    study: str,
    options: RunOptions,
    overrides: list[str],
    cluster: ClusterConfig | None,
    *,
    validation: bool,
    as_json: bool,
) -> None:
    from brainaligner.study._audit_plan import audit_plan
    from brainaligner.study._audit_words import audit_record
    from brainaligner.study._cluster_jobs import job_scripts
    from brainaligner.study._files import load_study
    from brainaligner.study._foresight import foresight_record, stored_foresight
    from brainaligner.study._lay_out import lay_out_study, price_plan
    from brainaligner.study._run_report import known_findings
    from brainaligner.study._screen import finding_lines, plan_lines, plan_rows
    from brainaligner.study._screen_foresight import foresight_lines
    from brainaligner.study._settings import plain
    from brainaligner.study._validation import scored_plan, validation_study

    config = load_study(study, overrides=overrides)
    scripts = {} if cluster is None else job_scripts(cluster)
    plan, store = lay_out_study(
        validation_study(config) if validation else config,
        options,
        check=cluster is None or cluster.tunes_on_cpu,
    )
    stages, speed = price_plan(plan, store, options)
    findings = plain(known_findings(plan.prepared))
    audit = audit_record(audit_plan(scored_plan(plan), store))
    foresight = foresight_record(stored_foresight(plan, store))
    if as_json:
        priced = {"operations_per_second": speed.by_precision, "stages": speed.record(stages)}
        found = priced | {"findings": findings, "audit": audit}
        found |= {"job_scripts": scripts} if scripts else {}
        print_json(found | {"foresight": foresight})
        return
    for line in finding_lines(findings):
        print(line)
    print_table(["stage", "what", "time", "memory", "disk"], plan_rows(stages, speed))
    lines = (*plan_lines(stages, speed), *audit_lines(audit), *foresight_lines(foresight))
    for line in lines:
        print(line)
    for resource, script in scripts.items():
        print(f"\n# a job for {resource} units\n{script}")


def demo(
    out: Out = DEFAULT_OUT,
    device: Device = "cpu",
    threads: Threads = None,
    plan: Plan = False,
    language: Language = "en",
    as_json: AsJson = False,
) -> None:
    """Run the packaged demo: SIMULATED listeners, the real loader and language model."""
    from brainaligner.study._options import RunOptions

    options = RunOptions(out, None, device, threads, language=language)
    if plan:
        _show_plan("demo", options, [], None, validation=False, as_json=as_json)
    else:
        _run_and_show("demo", options, [], as_json=as_json)


def show(run: FinishedRun, as_json: AsJson = False) -> None:
    """Show the table and the warnings of a finished run."""
    _show(run, as_json=as_json)


def _run_and_show(
    study: str,
    options: RunOptions,
    overrides: list[str],
    *,
    confirm: bool = False,
    validation: bool = False,
    cluster: ClusterConfig | None = None,
    as_json: bool,
) -> None:
    from brainaligner.study._cluster import run_on_cluster
    from brainaligner.study._confirm_run import confirm_study
    from brainaligner.study._files import load_study
    from brainaligner.study._run import run_study
    from brainaligner.study._validation import validation_study

    with stoppable():
        run = confirm_study if confirm else run_study
        if cluster is not None:
            run = partial(run_on_cluster, cluster=cluster)
        config = load_study(study, overrides=overrides)
        folder = run(validation_study(config) if validation else config, options)
    if options.rank == 0:
        _show(folder, as_json=as_json)
        exit_if_not_valid(folder)


def _show(folder: Path, *, as_json: bool) -> None:
    from brainaligner.study._record import read_run
    from brainaligner.study._screen import print_run

    finished = read_run(folder)
    if as_json:
        print_json(finished)
    else:
        print_run(finished, folder, Console())
