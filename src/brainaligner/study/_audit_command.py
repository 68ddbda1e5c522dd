"""``brainaligner audit``: is a run what it says it is, or a plan what it should be?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainaligner.core import InputError
from brainaligner.study import _completion as complete
from brainaligner.study._printing import (
    NOT_VALID_CODE,
    AsJson,
    DataAgain,
    Set,
    help_end,
    print_json,
)

if TYPE_CHECKING:
    from brainaligner.evaluation import Audit

EXAMPLES = help_end("audit runs/demo", "audit my-study.yaml --data ~/data")


def audit_command(
    run: Annotated[
        str,
        typer.Argument(
            help="Folder of a finished run; or a YAML file, or the name of a packaged study, that "
            "is to be judged before it runs.",
            autocompletion=complete.runs_and_studies,
        ),
    ],
    data: DataAgain = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder that holds the store; default: the folder beside, or runs."
        ),
    ] = None,
    overrides: Set = None,
    cheap: Annotated[
        bool, typer.Option("--cheap", help="Only what each run checks at its end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Audit a run or a plan: prove that nothing of a test story reached anything but scoring.

    Recipes are walked by content. Of a finished run, what entered each computation is compared
    with the data read again, and a sample of features, fits, predictions and scores is computed
    again. What cannot be proven is said.
    """
    from brainaligner.study._audit_words import audit_record

    if _is_study(run):
        found = audit_record(_planned(run, data, out, overrides or [], cheap=cheap))
    else:
        found = audit_record(_finished(Path(run), data, out, overrides or [], cheap=cheap))
    if as_json:
        print_json(found)
    else:
        for line in audit_lines(found):
            print(line)
    if found["verdict"] == "FAIL":
        raise typer.Exit(NOT_VALID_CODE)


def _is_study(named: str) -> bool:
    """Whether a study file or a packaged study is named, and no folder of that name is there."""
    from brainaligner.study._presets import preset_names

    if Path(named).is_dir():
        return False
    return Path(named).suffix in (".yaml", ".yml") or named in preset_names()


def _finished(
    run: Path, data: str | None, out: Path | None, overrides: list[str], *, cheap: bool
) -> Audit:
    from brainaligner.study._audit import audit_run

    if overrides:
        raise InputError(
            "audit",
            got=f"--set {overrides[0]} beside a finished run",
            wanted="a study file, whose settings can still be changed",
            do="Leave --set out: a run is judged as it ran.",
        )
    return audit_run(run, data=data, out=out, thorough=not cheap)


def _planned(
    study: str, data: str | None, out: Path | None, overrides: list[str], *, cheap: bool
) -> Audit:
    from brainaligner.study._audit_plan import audit_study
    from brainaligner.study._files import load_study
    from brainaligner.study._options import RunOptions

    if cheap:
        raise InputError(
            "audit",
            got="--cheap beside a study that has not run",
            wanted="the folder of a finished run",
            do="Leave --cheap out: nothing of a plan is computed again.",
        )
    config = load_study(study, overrides=overrides)
    return audit_study(config, RunOptions(out or Path("runs"), data))


def audit_lines(found: dict[str, Any]) -> list[str]:
    """An audit for a terminal: the verdict, then what it rests on."""
    lines = [f"audit: {found['verdict']}{': ' if found['reason'] else ''}{found['reason']}"]
    for kind, word in (("faults", "FAIL"), ("warnings", "WARN")):
        lines += [
            f"{word} {f['name']}: {f['where']}: {f['sentence']} ({f['figure']})"
            for f in found[kind]
        ]
    lines += [f"unproven {u['name']}: {u['where']}: {u['reason']}" for u in found["unproven"]]
    return lines + [f"proven: {text}" for text in found["proven"]]


def exit_if_not_valid(folder: Path) -> None:
    """End with the code of a study that is not valid, where its run says so."""
    from brainaligner.study._record import read_run

    if read_run(folder).get("audit", {}).get("verdict") == "FAIL":
        raise typer.Exit(NOT_VALID_CODE)
