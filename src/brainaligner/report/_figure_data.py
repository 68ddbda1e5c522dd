"""What each figure is drawn from, as tab-separated values."""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from brainaligner.core import Space
from brainaligner.report._figure_inputs import Curve, Difference
from brainaligner.report._figures import bin_edges
from brainaligner.report._inputs import Result, RunReport
from brainaligner.report._mesh import on_vertices
from brainaligner.report._table import exact_cells, tsv_text

Rows = Iterator[Mapping[str, object]]
STEPS = 250  # of colour that an eye tells apart
DECIMALS = 4  # of values at vertices: 20,484 of them stand in a page


def data_address(text: str, *, packed: bool = False) -> str:
    """A text as an address from which a browser saves it, as it is or packed by gzip."""
    content, kind = text.encode(), "text/tab-separated-values;charset=utf-8"
    if packed:
        content, kind = gzip.compress(content, mtime=0), "application/gzip"
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def arm_data(results: Sequence[Result]) -> str:
    """Means with their intervals."""
    return _tsv(
        {
            "arm": one.scores.arm,
            "subject": one.scores.subject,
            "group": one.scores.group.name,
            "rows_cut": one.scores.rows_cut,
            "r_mean": one.summary.mean,
            "interval_low": one.summary.interval.low,
            "interval_high": one.summary.interval.high,
            "reference": one.reference,
        }
        for one in results
    )


def distribution_data(report: RunReport, results: Sequence[Result]) -> str:
    """Counts in the bins of the histograms, with what is marked in them."""
    return _tsv(_bins(report, results))


def _bins(report: RunReport, results: Sequence[Result]) -> Rows:
    for one in results:
        scores, summary = one.scores, one.summary
        edges = bin_edges(report, scores.group.name, scores.rows_cut)
        counts = np.histogram(scores.r[np.isfinite(scores.r)], bins=edges)[0]
        for low, high, count in zip(edges, edges[1:], counts, strict=False):
            yield {
                "arm": scores.arm,
                "subject": scores.subject,
                "bin_low": float(low),
                "bin_high": float(high),
                "count": int(count),
                "r_mean": summary.mean,
                "r_median": summary.median,
                "null_mean": summary.null_mean,
                "null_sd": summary.null_sd,
                "ceiling_mean": None if one.ceiling is None else one.ceiling.cc_max,
            }


def difference_data(differences: Sequence[Difference]) -> str:
    """Differences with their paired intervals."""
    return _tsv(one.facts for one in differences)


def story_data(differences: Sequence[Difference]) -> str:
    """Mean r of each story, of every arm and of the reference."""
    return _tsv(
        {
            "arm": one.arm,
            "reference": one.reference,
            "subject": one.subject,
            "story": story,
            "r_arm": arm,
            "r_reference": reference,
        }
        for one in differences
        for story, (reference, arm) in one.stories.items()
    )


def curve_data(curve: Curve) -> str:
    """All points of a curve."""
    return _tsv(
        {
            "line": line.name,
            curve.x_name: x,
            curve.y_name: y,
            "interval_low": line.low[i] if line.low else None,
            "interval_high": line.high[i] if line.high else None,
            "chosen": line.marked == x,
            "dashed": line.faint,
        }
        for line in curve.lines
        for i, (x, y) in enumerate(zip(line.x, line.y, strict=True))
    )


def map_data(space: Space, columns: Mapping[str, Float[np.ndarray, "target"]]) -> str:
    """Values at the fsaverage5 vertices that are painted; the left hemisphere comes first."""
    assert space.vertices is not None
    painted = {name: on_vertices(space.vertices, values) for name, values in columns.items()}
    shown = np.flatnonzero(np.isfinite(np.array([*painted.values()])).any(axis=0))
    lines = ["\t".join(["vertex", *painted])]
    for vertex in shown:
        own = [values[vertex] for values in painted.values()]
        cells = [f"{v:.{DECIMALS}f}" if np.isfinite(v) else "" for v in own]
        lines.append("\t".join([str(vertex), *cells]))
    return "\n".join(lines) + "\n"


def target_data(columns: Mapping[str, Float[np.ndarray, "target"]], *, top: float) -> str:
    """Values of all targets in the dataset's order; what has no value is empty.

    To as many decimals as tell 250 steps up to `top`, the end of the colour bar, apart: exact
    values stand in the artifact that the figure's recipe names.
    """
    decimals = max(0, math.ceil(-math.log10(top / STEPS)))
    lines = ["\t".join(columns)]
    for row in np.column_stack([*columns.values()]):
        lines.append("\t".join(f"{v:.{decimals}f}" if np.isfinite(v) else "" for v in row))
    return "\n".join(lines) + "\n"


def _tsv(rows: Iterator[Mapping[str, object]]) -> str:
    return tsv_text([exact_cells(row) for row in rows])
