"""How each command of the documents is followed: run, planned, or read by its own parser.

A command that no table names is run. The longest entry that a command starts with is taken.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from typing import Any

from typer.main import get_command

from brainaligner.study import app

NETWORK = "fetches from the network"
HOURS = "hours of computing"
VOXELS = "wants the voxels of ds003020, and weights that are not ours"
QUEUE = "wants a queue"
BROWSER = "wants a browser; tests of the page print where there is one"
SHELL = "the shell's own"
TREE = {
    "FOLDER": "tree",
    "ds003020": "tree",
    "ds003020/derivative/parcels.npz": "tree/derivative/parcels.npz",
    "DIR": "atlas",
    "a424": "atlas",
    "LEFT.surf.gii": "left.surf.gii",
    "RIGHT.surf.gii": "right.surf.gii",
    "UTS01,UTS02": "SIM01,SIM02",
    "*/UTS03": "*/SIM02",
    "runs/my-study": "runs/on-cortex",
}

READ: dict[str, str] = {
    "brainaligner fetch lebel2023": NETWORK,
    "brainaligner view": "serves until Ctrl-C",
    "brainaligner page runs/demo --language ja --pdf": BROWSER,
    "brainaligner page runs/baseline --language ja --pdf": BROWSER,
    "brainaligner run prediction": HOURS,
    "brainaligner run prediction-ideas": HOURS,
    "brainaligner run prediction-others": HOURS,
    "brainaligner run linear-frontier": HOURS,
    "brainaligner run report-table1": VOXELS,
    "brainaligner data reconstruct report-table1": VOXELS,
    "brainaligner run baseline --data FOLDER --device cuda": "wants a GPU",
    "brainaligner run baseline --data DATA --nulls": "half a minute; tests of studies run --nulls",
    "brainaligner data simulate": "a minute; tests of flatmaps run it on a small study",
    "brainaligner data ceiling FOLDER --to": "wants single presentations of own data",
    "brainaligner recipe runs/baseline 62be4fb88a01": "a key of the real recordings",
    "brainaligner export runs/my-study --arm es --all": "the same export for each model",
}
"""Commands that are parsed with all their options, and not run."""

PLANNED: dict[str, str] = {
    "brainaligner run components-table1": HOURS,
    "brainaligner run components-table1-1e-4": HOURS,
    "brainaligner run components-table2": HOURS,
    "brainaligner run baseline --data FOLDER --validation": "as mine.yaml, with more arms",
    "brainaligner search": HOURS,
    "brainaligner run my-study.yaml --cluster": QUEUE,
    "brainaligner run my-study.yaml --data FOLDER --cluster": QUEUE,
}
"""Commands that are run with --plan added."""

MADE: dict[str, str] = {
    "brainaligner run baseline --data FOLDER": "makes runs/baseline of the desk",
}
"""Commands that the desk itself was made by, word for word."""

OUTSIDE: dict[str, str] = {
    "make": "a dry run of the target",
    "pip": NETWORK,
    "python": "makes an environment",
    "torchrun": "several GPUs; what it starts is parsed",
    "sbatch": QUEUE + "; what it starts is parsed",
    "qsub": QUEUE + "; what it starts is parsed",
    "squeue": QUEUE,
    "qstat": QUEUE,
    "ssh": "another machine",
    "rsync": "another machine",
    "tmux": SHELL,
    "cd": SHELL,
    "source": SHELL,
    "export": SHELL,
}
"""Programs that are not ours."""

PLACES: dict[str, dict[str, str]] = {
    "brainaligner data place": TREE,
    "brainaligner data flatmap": TREE,
    "brainaligner data parcels": TREE,
    "brainaligner data ceiling": TREE,
    "brainaligner data check ds003020": TREE,
    "brainaligner search": {"my-study.yaml": "embedded-study.yaml"},
}
"""What stands on the desk for a word of a command."""


def entry(words: Sequence[str], table: Collection[str]) -> str | None:
    """The longest entry of a table that a command starts with."""
    line = " ".join(words)
    found = [key for key in table if line == key or line.startswith(f"{key} ")]
    return max(found, key=len, default=None)


def placed(words: Sequence[str]) -> list[str]:
    """The command with what stands on the desk in place of its own words."""
    key = entry(words, PLACES)
    places = {} if key is None else PLACES[key]
    return [places.get(word, word) for word in words]


class WrongCommandError(Exception):
    """The command line refuses what a document says."""


def parse(words: Sequence[str]) -> None:
    """Let the command line read a command without running it.

    Raises
    ------
    WrongCommandError
        For an unknown command or option, a value of the wrong type, or a missing one.
    """
    command: Any = get_command(app)
    rest = list(words)
    while hasattr(command, "commands") and not (rest == [] and command.invoke_without_command):
        if not rest or rest[0] not in command.commands:
            raise WrongCommandError(f"no command {' '.join(words)!r}")
        command = command.commands[rest.pop(0)]
    try:
        command.make_context("brainaligner", rest)
    except Exception as error:  # typer has click's errors under a private name
        raise WrongCommandError(f"{' '.join(words)}: {error}") from error


def started(words: Sequence[str]) -> list[list[str]]:
    """Our commands that another program is told to start, without their first word."""
    found = [
        list(words[place + 1 :])
        for place, word in enumerate(words)
        if word.rpartition("/")[2] == "brainaligner"
    ]
    quoted = [shlex.split(word) for word in words if " " in word]
    return found + [one[1:] for one in quoted if one[0] == "brainaligner"]
