"""``brainaligner studies``: the packaged studies."""

from __future__ import annotations

from typing import Annotated

import typer

from brainaligner.study import _completion as complete
from brainaligner.study._presets import preset_names, preset_text
from brainaligner.study._printing import AsJson, help_end, print_json, print_table

EXAMPLES = help_end("studies", "studies --json", "studies show baseline")
SHOW_EXAMPLES = help_end("studies show baseline > my.yaml", "studies show baseline --json")


def studies(context: typer.Context, as_json: AsJson = False) -> None:
    """List the packaged studies."""
    if context.invoked_subcommand is not None:
        return
    from brainaligner.study._files import load_study

    titles = {name: load_study(name).title for name in preset_names()}
    if as_json:
        print_json(titles)
    else:
        print_table(["study", "what it does"], list(titles.items()))


def studies_show(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Name of a packaged study.", autocompletion=complete.presets)
    ],
    as_json: AsJson = False,
) -> None:
    """Print the YAML of a packaged study, to start your own from; JSON is YAML too."""
    text = preset_text(name)
    above = context.parent.params.get("as_json") if context.parent else False
    if as_json or above:
        from brainaligner.study._files import yaml_mapping

        print_json(yaml_mapping(name, text, wanted="a study", do="Install the package again."))
    else:
        print(text, end="")
