"""``brainaligner data reconstruct``: does BrainLM understand a study's parcels?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
)

if TYPE_CHECKING:
    from brainaligner.study._reconstruction import Reconstruction

EXAMPLES = help_end(
    "data reconstruct report-table1 --data ds003020 --set brains.brainlm.checkpoint=vitmae_650M",
    "data reconstruct demo --stories 2",
)


def reconstruct(
    study: Study,
    brain: Annotated[
        str | None, typer.Option(help="Entry of the study's brains; default: all with BrainLM.")
    ] = None,
    stories: Annotated[
        int, typer.Option(help="Training stories of each subject to look at, spread evenly.")
    ] = 4,
    data: Data = None,
    out: Out = DEFAULT_OUT,
    device: Device = "cpu",
    threads: Threads = None,
    overrides: Set = None,
    as_json: AsJson = False,
) -> None:
    """Hide patches of training stories, and see how well BrainLM fills them in.

    R2 of hidden samples for several scales of the parcels and steps of time, the study's own among
    them, and once with parcels in an order drawn at random. No label and no test story is looked
    at. A trained model gives about .3 to .4 on data like its own. Near 0 everywhere: look for a
    wrong order of the parcels. Best at another gain or step: see brainlm, input_gain and target_tr.
    """
    from brainaligner.study._files import load_study
    from brainaligner.study._options import RunOptions
    from brainaligner.study._progress import reporting
    from brainaligner.study._reconstruction import reconstruct as reconstructions

    config = load_study(study, overrides=overrides or [])
    options = RunOptions(out, data, device, threads)
    with reporting() as reporter:
        found = list(
            reconstructions(config, options, brain=brain, n_stories=stories, reporter=reporter)
        )
    if as_json:
        print_json({"reconstructions": [_record(one) for one in found]})
        return
    for one in found:
        print("\n".join(_lines(one)))
        _print_grid(one)


def _lines(one: Reconstruction) -> tuple[str, ...]:
    gain, step, r2 = one.check.best
    own, held = one.settings, f"{one.parcels} parcels with voxels"
    stamps = {"RANDOM WEIGHTS": one.random_weights, "SIMULATED": one.simulated}
    said = "".join(f", {stamp}" for stamp, wanted in stamps.items() if wanted)
    return (
        f"{one.brain}, {one.subject}{said}: {held}; {', '.join(one.stories)}",
        f"as the study has it (gain {own.input_gain:g}, {_step(own.target_tr)}): "
        f"R2 {one.own_r2:.3f}",
        f"best (gain {gain:g}, {_step(step)}): R2 {r2:.3f}; there with parcels in another order "
        f"{one.shuffled_r2:.3f}",
    )


def _print_grid(one: Reconstruction) -> None:
    heads = ["step", *(f"gain {gain:g}" for gain in one.check.gains)]
    rows = [
        [_step(step), *(f"{r2:.3f}" for r2 in one.check.r2[:, j])]
        for j, step in enumerate(one.check.target_trs)
    ]
    print_table(heads, rows)


def _step(seconds: float | None) -> str:
    return "a row" if seconds is None else f"{seconds:g} s"


def _record(one: Reconstruction) -> dict[str, Any]:
    gain, step, r2 = one.check.best
    return {
        "brain": one.brain,
        "subject": one.subject,
        "parcels": one.parcels,
        "stories": list(one.stories),
        "settings": asdict(one.settings),
        "gains": list(one.check.gains),
        "target_trs": list(one.check.target_trs),
        "r2": one.check.r2.tolist(),
        "hidden_samples": list(one.check.samples),
        "best": {"gain": gain, "target_tr": step, "r2": r2},
        "own_r2": one.own_r2,
        "shuffled_r2": one.shuffled_r2,
        "random_weights": one.random_weights,
        "simulated": one.simulated,
    }
