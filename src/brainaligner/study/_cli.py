"""The command line: ``brainaligner``."""

from __future__ import annotations

import io
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from brainaligner import __version__
from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study import (
    _compare_command,
    _embed_command,
    _export_command,
    _fetch_command,
    _init_command,
    _page_command,
    _recipe_command,
    _view_command,
)
from brainaligner.study._audit_command import (
    EXAMPLES,
    audit_command,
    audit_lines,
    exit_if_not_valid,
)
from brainaligner.study._data_commands import add_data_commands
from brainaligner.study._place_commands import add_place_commands
from brainaligner.study._printing import (
    EXIT_CODES,
    AsJson,
    Language,
    Set,
    print_json,
    print_table,
    stoppable,
)
from brainaligner.study._search_command import EXAMPLES as SEARCH_EXAMPLES
from brainaligner.study._search_command import search

if TYPE_CHECKING:
    from brainaligner.study._options import RunOptions

app = typer.Typer(
    name="brainaligner",
    help="Encoding models of the brain from language models, scored honestly.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Look at data before any study runs on it.", no_args_is_help=True)
app.add_typer(data_app, name="data")
add_place_commands(data_app)
add_data_commands(data_app)
studies_app = typer.Typer(help="The packaged studies.", invoke_without_command=True)
app.add_typer(studies_app, name="studies")
app.command("init", epilog=_init_command.EXAMPLES)(_init_command.init)
app.command("fetch", epilog=_fetch_command.EXAMPLES)(_fetch_command.fetch)
app.command("audit", epilog=EXAMPLES)(audit_command)
app.command("compare", epilog=_compare_command.EXAMPLES)(_compare_command.compare)
app.command("export", epilog=_export_command.EXAMPLES)(_export_command.export)
app.command("view", epilog=_view_command.EXAMPLES)(_view_command.view)
app.command("page", epilog=_page_command.EXAMPLES)(_page_command.page)
app.command("embed", epilog=_embed_command.EXAMPLES)(_embed_command.embed)

Out = Annotated[Path, typer.Option("--out", help="Folder of results and of the store.")]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", help="Folder of the data; before the study file, and before BRAINALIGNER_DATA."
    ),
]
Device = Annotated[str, typer.Option("--device", help="Torch device: cpu, cuda, cuda:0, mps.")]
Threads = Annotated[int | None, typer.Option("--threads", help="CPU threads to use.")]
DEFAULT_OUT = Path("runs")


def main() -> None:
    """Run the command line; errors become one clear line and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8 is no error
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except BrainAlignerError as error:
        text = " ".join(str(error).split())
        Console(stderr=True, soft_wrap=True).print(
            f"error: {text}", style="red", markup=False, highlight=False
        )
        sys.exit(error.exit_code)


def _version(wanted: bool) -> bool:
    if wanted:
        print(f"brainaligner {__version__}")
        raise typer.Exit
    return bool(wanted)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog="Examples:\n\n  brainaligner run baseline --data ~/data\n\n"
    "  brainaligner run my-study.yaml --device cuda --set split.seed=3\n\n"
    "  brainaligner run my-study.yaml --validation\n\n"
    "  brainaligner run my-study.yaml --cluster cluster.yaml\n\n"
    "  brainaligner run report-table1 --data ~/ds003020 --plan\n\n" + EXIT_CODES
)
def run(
    study: Annotated[str, typer.Argument(help="A YAML file, or the name of a packaged study.")],
    data: Data = None,
    out: Out = DEFAULT_OUT,
    device: Device = "cpu",
    threads: Threads = None,
    overrides: Set = None,
    batch_tokens: Annotated[
        int, typer.Option(help="Tokens in one batch of the language model; more for a GPU.")
    ] = 4_096,
    target_block: Annotated[
        int, typer.Option(help="Voxels fitted at a time; bounds the memory of the ridge.")
    ] = 8_192,
    nulls: Annotated[
        bool, typer.Option("--nulls", help="Score null features and responses of every arm too.")
    ] = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Say what it would take and what its audit says; run nothing."),
    ] = False,
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
    changes = [*(overrides or []), *(["nulls=true"] if nulls else [])]
    if confirm and validation:
        raise InputError(
            "--confirm and --validation",
            got="both",
            wanted="one of the two",
            do="Compare on validation stories first; confirm the last configuration.",
        )
    if confirm and cluster is not None:
        raise InputError(
            "--confirm and --cluster",
            got="both",
            wanted="one of the two",
            do="Confirm on one machine: what divisions share is in the store.",
        )
    if plan:
        scripts = _job_scripts(cluster)
        _show_plan(study, options, changes, scripts, validation=validation, as_json=as_json)
    else:
        on = {"confirm": confirm, "validation": validation, "as_json": as_json}
        _run_and_show(study, options, changes, cluster=cluster, **on)


def _show_plan(
    study: str,
    options: RunOptions,
    overrides: list[str],
    scripts: dict[str, str],
    *,
    validation: bool,
    as_json: bool,
) -> None:
    from brainaligner.study._audit_plan import audit_plan
    from brainaligner.study._audit_words import audit_record
    from brainaligner.study._files import load_study
    from brainaligner.study._foresight import foresight_record, stored_foresight
    from brainaligner.study._run import lay_out_study, price_plan
    from brainaligner.study._screen import plan_lines, plan_rows
    from brainaligner.study._screen_foresight import foresight_lines
    from brainaligner.study._validation import scored_plan, validation_study

    config = load_study(study, overrides=overrides)
    plan, store = lay_out_study(validation_study(config) if validation else config, options)
    stages, speed = price_plan(plan, store, options)
    audit = audit_record(audit_plan(scored_plan(plan), store))
    foresight = foresight_record(stored_foresight(plan, store))
    if as_json:
        priced = [asdict(stage) for stage in stages]
        found = {"operations_per_second": speed, "stages": priced, "audit": audit}
        found |= {"job_scripts": scripts} if scripts else {}
        print_json(found | {"foresight": foresight})
        return
    print_table(["stage", "what", "time", "memory", "disk"], plan_rows(stages, speed))
    lines = (*plan_lines(stages, speed), *audit_lines(audit), *foresight_lines(foresight))
    for line in lines:
        print(line)
    for resource, script in scripts.items():
        print(f"\n# a job for {resource} units\n{script}")


@app.command(
    epilog="Example:\n\n  brainaligner sweep my-study.yaml "
    "--over tunings.es.aligner.mask_rate=[0.15,0.3] --over split.seed=[0,1]\n\n" + EXIT_CODES
)
def sweep(
    study: Annotated[str, typer.Argument(help="A YAML file, or the name of a packaged study.")],
    over: Annotated[
        list[str],
        typer.Option(metavar="KEY=[VALUES]", help="A setting and its values; all combinations."),
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
) -> None:
    """Run a study under several values of its settings, and rank them on validation stories.

    What the combinations share is computed once. Test stories stay closed without --test.
    """
    from brainaligner.study._files import load_study
    from brainaligner.study._options import RunOptions
    from brainaligner.study._sweep import ranking_rows, run_sweep, sweep_variants

    variants = sweep_variants(study, overrides or [], over)
    options = RunOptions(out, data, device, threads)
    name = load_study(study, overrides=overrides or []).name
    with stoppable():
        swept = run_sweep(variants, options, name=name, test=test)
    if swept.ranked:
        print("validation stories, mean over stories and subjects, 95 % interval over stories:")
        print_table(*ranking_rows(swept))
    print(f"table: {swept.table}")
    print(f"ranking: {swept.ranking}")


app.command("search", epilog=SEARCH_EXAMPLES)(search)


@app.command(epilog="Example:\n\n  brainaligner demo\n\n" + EXIT_CODES)
def demo(
    out: Out = DEFAULT_OUT,
    device: Device = "cpu",
    threads: Threads = None,
    language: Language = "en",
) -> None:
    """Run the packaged demo: SIMULATED listeners, the real loader and language model."""
    from brainaligner.study._options import RunOptions

    options = RunOptions(out, None, device, threads, language=language)
    _run_and_show("demo", options, [], as_json=False)


def _job_scripts(cluster: Path | None) -> dict[str, str]:
    from brainaligner.study._cluster_config import read_cluster
    from brainaligner.study._cluster_jobs import job_scripts

    return {} if cluster is None else job_scripts(read_cluster(cluster))


def _run_and_show(
    study: str,
    options: RunOptions,
    overrides: list[str],
    *,
    confirm: bool = False,
    validation: bool = False,
    cluster: Path | None = None,
    as_json: bool,
) -> None:
    from brainaligner.study._cluster import run_on_cluster
    from brainaligner.study._cluster_config import read_cluster
    from brainaligner.study._confirm_run import confirm_study
    from brainaligner.study._files import load_study
    from brainaligner.study._run import run_study
    from brainaligner.study._validation import validation_study

    with stoppable():
        run = confirm_study if confirm else run_study
        if cluster is not None:
            run = partial(run_on_cluster, cluster=read_cluster(cluster))
        config = load_study(study, overrides=overrides)
        folder = run(validation_study(config) if validation else config, options)
    if options.rank == 0:
        _show(folder, as_json=as_json)
        exit_if_not_valid(folder)


@app.command(epilog="Example:\n\n  brainaligner show runs/baseline\n\n" + EXIT_CODES)
def show(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")], as_json: AsJson = False
) -> None:
    """Show the table and the warnings of a finished run."""
    _show(run, as_json=as_json)


def _show(folder: Path, *, as_json: bool) -> None:
    from brainaligner.study._record import read_run
    from brainaligner.study._screen import print_run

    finished = read_run(folder)
    if as_json:
        print_json(finished)
    else:
        print_run(finished, folder, Console())


app.command("recipe", epilog=_recipe_command.EXAMPLES)(_recipe_command.recipe)


@studies_app.callback()
def studies(context: typer.Context, as_json: AsJson = False) -> None:
    """List the packaged studies."""
    if context.invoked_subcommand is not None:
        return
    from brainaligner.study._files import load_study, preset_names

    titles = {name: load_study(name).title for name in preset_names()}
    if as_json:
        print_json(titles)
    else:
        print_table(["study", "what it does"], list(titles.items()))


@studies_app.command("show", epilog="Example:\n\n  brainaligner studies show baseline > my.yaml")
def studies_show(name: Annotated[str, typer.Argument(help="Name of a packaged study.")]) -> None:
    """Print the YAML of a packaged study, to start your own from."""
    from brainaligner.study._files import preset_text

    print(preset_text(name), end="")


@app.command(epilog="Example:\n\n  brainaligner doctor --data ~/data\n\n" + EXIT_CODES)
def doctor(data: Data = None, out: Out = DEFAULT_OUT, as_json: AsJson = False) -> None:
    """Show versions, devices, threads, memory, disk, datasets and models found."""
    from brainaligner.study._doctor import examine

    columns, rows = ("topic", "verdict", "found"), examine(data=data, out=out)
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)
    if any(verdict == "fail" for _, verdict, _ in rows):
        raise typer.Exit(1)
