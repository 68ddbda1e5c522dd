"""``brainaligner embed``: vectors of a text, from a language model alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainaligner.core import InputError
from brainaligner.study import _completion as complete
from brainaligner.study._printing import (
    NOT_VALID_CODE,
    AsJson,
    BatchTokens,
    Device,
    at_home,
    help_end,
    print_json,
    stderr_console,
    stoppable,
)

if TYPE_CHECKING:
    from brainaligner.study._embed import TextVectors

EXAMPLES = help_end(
    "embed es-model sentences.txt --to sentences.npz",
    "embed es-model story.TextGrid --to story.safetensors",
    "embed embedded words.csv --to rows.csv --tr 1.5 --layer 4 --context-rows 10",
)


def embed(
    model: Annotated[
        str, typer.Argument(help="An exported model's folder, 'embedded', or a hub name.")
    ],
    given: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A text, one sentence per line; or words with times: a word table or a TextGrid.",
        ),
    ],
    to: Annotated[
        Path,
        typer.Option("--to", callback=at_home, help="New file: .npz, .safetensors or .csv."),
    ],
    layer: Annotated[
        int | None, typer.Option("--layer", help="hidden_states[k]; negative from the end.")
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(
            "--pooling",
            help="own: the TR's own tokens; or all.",
            autocompletion=complete.one_of("own", "all"),
        ),
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option(
            "--clock",
            help="own or previous: which TR's words a row has.",
            autocompletion=complete.one_of("own", "previous"),
        ),
    ] = None,
    context_rows: Annotated[
        int | None, typer.Option("--context-rows", help="TRs of left context.")
    ] = None,
    tr: Annotated[float | None, typer.Option("--tr", help="Seconds between two rows.")] = None,
    first: Annotated[
        float | None, typer.Option("--first", help="Centre of row 0 in seconds of the sound.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", help="Rows of each story; default: to its last word.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other setting of 'text' in a study file: --set special_tokens=pooled.",
        ),
    ] = None,
    device: Device = "cpu",
    batch_tokens: BatchTokens = 4_096,
    as_json: AsJson = False,
) -> None:
    """Read text with a language model: one vector per line, or per TR of words with times.

    No brain enters. An exported model is read as its study read it, unless an option says
    otherwise; any other model with the last layer, 2 s rows and no left context.
    """
    from brainaligner.study._embed import embed_text
    from brainaligner.study._embed_files import check_vectors_file, save_vectors
    from brainaligner.study._embed_reading import EmbedSettings
    from brainaligner.study._options import RunOptions

    options = RunOptions(Path("runs"), device=device, batch_tokens=batch_tokens)
    named = {"layer": layer, "pooling": pooling, "clock": clock, "context_rows": context_rows}
    given_text = {name: value for name, value in named.items() if value is not None}
    settings = EmbedSettings(_changes(overrides or [], given_text), tr, first, rows)
    check_vectors_file(to)
    with stoppable():
        found = embed_text(model, given, settings, options=options)
        save_vectors(to, found)
    _show(to, found, as_json=as_json)
    if found.not_valid is not None:
        raise typer.Exit(NOT_VALID_CODE)


def _changes(overrides: list[str], named: dict[str, Any]) -> dict[str, Any]:
    """Settings of ``--set`` beside those that have an option of their own; each once."""
    from brainaligner.study._files import yaml_value

    changes = dict(named)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not key or not equals or key in changes:
            raise InputError(
                f"--set {override!r}",
                got=f"{key!r} twice" if key in changes else "no 'key='",
                wanted="key=value, each key once",
                do="Write, for example, --set special_tokens=pooled.",
            )
        changes[key] = yaml_value(text)
    return changes


def _show(to: Path, found: TextVectors, *, as_json: bool) -> None:
    shapes = {name: list(rows.shape) for name, rows in found.vectors.items()}
    if as_json:
        record = {"not_valid": found.not_valid, "file": str(to), "shapes": shapes}
        print_json(record | {"about": dict(found.about), "notes": list(found.notes)})
        return
    for line in [found.not_valid] * (found.not_valid is not None):
        print(line)
    for name, (n_rows, width) in shapes.items():
        print(
            f"{to}: {name}: {n_rows} rows of {width} numbers, layer {found.about['text']['layer']}"
        )
    for note in found.notes:
        stderr_console().print(note, style="yellow", markup=False, highlight=False)
