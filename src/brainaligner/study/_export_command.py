"""``brainaligner export``: a tuned model to share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brainaligner.study import _completion as complete
from brainaligner.study._printing import (
    NOT_VALID_CODE,
    AsJson,
    FinishedRun,
    StoreBeside,
    at_home,
    help_end,
    print_json,
)

EXAMPLES = help_end(
    "export runs/my-study --arm es --to es-model",
    "export runs/my-study --arm es --subject UTS01 --seed 0 --fold 1 --to es-model",
    "export runs/my-study --arm es --all --to es-models",
)


def export(
    run: FinishedRun,
    arm: Annotated[
        str,
        typer.Option(
            "--arm",
            help="An arm that reads a tuned model, or a seed of it (es.s0).",
            autocompletion=complete.arms,
        ),
    ],
    to: Annotated[
        Path, typer.Option("--to", callback=at_home, help="New or empty folder for the model.")
    ],
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            help="Whose features come from the model.",
            autocompletion=complete.subjects,
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the tuning.")] = None,
    fold: Annotated[
        int | None, typer.Option("--fold", help="Fold of a cross-fitted tuning, from 1.")
    ] = None,
    tuning: Annotated[
        str | None, typer.Option("--tuning", help="Which tuning, where the arm reads several.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All models that fit, each in a subfolder.")
    ] = False,
    out: StoreBeside = None,
    as_json: AsJson = False,
) -> None:
    """Write the tuned language model of an arm as a checkpoint that transformers loads alone.

    With it come its tokenizer, a model card (README.md) with data, lineage, scores beside the
    controls, audit and licences, and the same for programs (brainaligner.json). A run whose audit
    failed is stamped NOT VALID on both; the files are written all the same.
    """
    from brainaligner.study._export import export_models
    from brainaligner.study._export_choice import ModelChoice

    choice = ModelChoice(subject, seed, fold, tuning)
    done = export_models(run, arm, to, choice=choice, every=every, out=out)
    not_valid = done[0].not_valid
    if as_json:
        print_json(
            {
                "not_valid": not_valid,
                "models": [
                    {"folder": str(one.folder), "model": one.model, "key": one.key} for one in done
                ],
            }
        )
    else:
        for line in [not_valid] * (not_valid is not None):
            print(line)
        for one in done:
            print(f"{one.folder}: {one.model}, recipe {one.key[:12]}")
    if not_valid is not None:
        raise typer.Exit(NOT_VALID_CODE)
