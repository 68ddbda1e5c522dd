"""One figure: time of each ridge by that of ours, and memory, for each size that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._ways import Way

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT, OURS, OTHERS = "#1f2933", "#d5dbe1", "#0072B2", "#D55E00"  # Okabe and Ito (2008)
WIDTH, ROW, HEAD = 9.0, 0.28, 0.95  # inches
NAMES = {"products": "bare products", "huth": "Huth lab", "litcoder": "LITcoder"}
LOOK = {"svg.fonttype": "none", "svg.hashsalt": "benchmarks"}


def draw(found: Mapping[str, Sequence[Way]], about: Mapping[str, str], path: Path) -> None:
    """Write the figure as SVG, or in the format of the path's suffix.

    Parameters
    ----------
    found : dict of str to sequence of Way
        Of each ridge benchmark, ours first; nothing else is drawn.
    about : dict of str to str
        What a benchmark's data are, for its title.
    path : Path
    """
    import matplotlib
    from matplotlib.figure import Figure

    heights = [len(ways) for ways in found.values()]
    with matplotlib.rc_context(LOOK):
        figure = Figure(
            figsize=(WIDTH, HEAD + sum(ROW * n + HEAD for n in heights)), layout="constrained"
        )
        figure.suptitle("Voxelwise ridge beside other libraries, SIMULATED data", color=INK)
        grid = figure.subplots(
            len(found), 2, squeeze=False, sharex="col", gridspec_kw={"height_ratios": heights}
        )
        for (left, right), (name, ways) in zip(grid, found.items(), strict=True):
            _rows(left, ways, [way.ratio for way in ways], "{:.2f}")
            _rows(right, ways, [way.peak_mib for way in ways], "{:,.0f}")
            left.axvline(1, color=OURS, linewidth=0.8, zorder=0)
            left.set_title(f"{name}: {about[name]}", loc="left", fontsize=9, color=INK)
            right.set_yticklabels([])
        grid[-1][0].set_xlabel("time by that of brainaligner (log)", color=INK)
        grid[-1][1].set_xlabel("peak memory of the process, MiB (log)", color=INK)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _rows(axes: Axes, ways: Sequence[Way], values: Sequence[float | None], form: str) -> None:
    """A dot for each way that has a value, with the value beside it."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    for row, value in enumerate(values):
        if value is None:
            continue
        axes.plot(value, row, "o", color=OURS if row == 0 else OTHERS, markersize=6)
        axes.annotate(
            form.format(value), (value, row), (7, 0), textcoords="offset points",
            va="center", fontsize=8, color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(ways)), [shown(way.name) for way in ways], fontsize=9)
    axes.set_ylim(len(ways) - 0.5, -0.5)
    axes.margins(x=0.18)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, which="both", labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def shown(name: str) -> str:
    """The name of a solver as people write it."""
    library, *precision = name.split("-float64")
    return NAMES.get(library, library) + (", float64" if precision else "")


def sizes(result: Mapping[str, Any]) -> str:
    """What the data of a ridge benchmark are."""
    size = result["size"]
    parts = (f"{size[name]:,} {name}" for name in ("rows", "features", "targets"))
    return ", ".join(parts)
