"""From a script's JSON to the figures that are shown: each way of doing the work, ours first."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Result = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One way of doing the work of a benchmark.

    Attributes
    ----------
    name : str
    seconds : float
        Median over turns.
    ratio : float, optional
        Time by that of ours.
    peak_mib : float, optional
        Peak memory of the process; of `ridge_memory.py` the anonymous part.
    """

    name: str
    seconds: float
    ratio: float | None = None
    peak_mib: float | None = None


def _beside(named: dict[str, float], prefix: str = "") -> list[Way]:
    """Ways with their ratio to the first, which is ours."""
    ours = next(iter(named.values()))
    return [
        Way(f"{prefix}{name}", seconds, seconds / ours if ours else None)
        for name, seconds in named.items()
    ]


def ridge(result: Result) -> list[Way]:
    """Ours, the bare products, and each peer that was run."""
    return [
        Way(name, found["wall_s"], found["ratio"], found["peak_mib"])
        for name, found in result["solvers"].items()
    ]


def leave_story_out(result: Result) -> list[Way]:
    """Each story left out, one split, and the bare products of the first."""
    medians = {name: statistics.median(found) for name, found in result["cpu_s"].items()}
    names = {"left_out": "each story", "split": "one split", "products": "products"}
    return _beside({said: medians[name] for name, said in names.items()})


def ridge_memory(result: Result) -> list[Way]:
    """Each number of targets, and three subjects where they were fitted."""
    fits = [*result["fits"], *([result["three"]] if "three" in result else [])]
    return [
        Way(f"{fit['targets']:,} targets", fit["cpu_s"], peak_mib=fit["anonymous_mib"])
        for fit in fits
    ]


def text_features(result: Result) -> list[Way]:
    """Ours, padded batches, full batches of as many tokens."""
    return _beside({name: result["seconds"][name] for name in ("ours", "padded", "full")})


def aligner_step(result: Result) -> list[Way]:
    """A step, and the passes in it, of each arm."""
    arms = {name: found for name, found in result.items() if isinstance(found, dict)}
    return [
        way
        for arm, found in arms.items()
        for way in _beside({"step": found["step_s"], "passes": found["floor_s"]}, f"{arm}: ")
    ]


def layer_cache(result: Result) -> list[Way]:
    """An epoch with lower states kept, and computed again."""
    return _beside({"kept": result["cached_s"], "computed again": result["recomputed_s"]})


def read_columns(result: Result) -> list[Way]:
    """Slices through the reader, and the file from end to end; seconds of one GiB."""
    return [
        way
        for kind in ("cold", "warm")
        for way in _beside(
            {
                "slices, a GiB": 1024 / result[kind]["slices_mib_per_s"],
                "plain file, a GiB": 1024 / result[kind]["raw_mib_per_s"],
            },
            f"{kind}: ",
        )
    ]


def block_permutation(result: Result) -> list[Way]:
    """Ours, and a loop over permutations, scaled up from a slice; processor seconds."""
    return _beside({"ours": result["processor_seconds"], "loop": result["loop_processor_seconds"]})


WAYS: dict[str, Callable[[Result], list[Way]]] = {
    "ridge": ridge,
    "leave_story_out": leave_story_out,
    "ridge_memory": ridge_memory,
    "text_features": text_features,
    "aligner_step": aligner_step,
    "layer_cache": layer_cache,
    "read_columns": read_columns,
    "block_permutation": block_permutation,
}
"""By the script's name."""


def summary(found: Iterable[tuple[str, Sequence[Way]]]) -> str:
    """A table of all ways of all benchmarks, in plain text."""
    head = ("benchmark", "way", "seconds", "ratio", "peak MiB")
    rows = [head] + [
        (
            name,
            way.name,
            f"{way.seconds:.3g}" if way.seconds < 100 else f"{way.seconds:,.0f}",
            "" if way.ratio is None else f"{way.ratio:.2f}",
            "" if way.peak_mib is None else f"{way.peak_mib:,.0f}",
        )
        for name, ways in found
        for way in ways
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
