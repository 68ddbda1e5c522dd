"""What a page is made of, kept beside it: the page can be made again, in any language."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from brainaligner.core import InputError, Scores, Space, StoryGroup, array_digest
from brainaligner.evaluation import (
    CeilingSummary,
    Diagnostic,
    Finding,
    Interval,
    RegionScore,
    Summary,
)
from brainaligner.report import (
    Column,
    Curve,
    Difference,
    Flatmap,
    FlatPixels,
    Line,
    RecipeNote,
    Result,
    RunReport,
    Table,
    Traced,
    render_page,
)
from brainaligner.study._disk import DamagedArtifactError, read_npz
from brainaligner.study._record import damaged_record, read_run

PAGE_CONTENT = "page.npz"
_CONTENT = "content"
_KINDS: Mapping[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(RunReport, Result, RecipeNote, Table, Column, Scores, StoryGroup, Space),
        *(Summary, Interval, RegionScore, CeilingSummary, Finding, Diagnostic),
        *(Curve, Line, Difference, Flatmap, FlatPixels),
    )
}
Tables = Sequence[tuple[str, Table]]


@dataclass(frozen=True, eq=False)
class PageContent:
    """A report and its further tables, as `render_page` takes them.

    Parameters
    ----------
    report : RunReport
    more : sequence of (name, Table)
    """

    report: RunReport
    more: Tables

    def html(self, language: str, *, unfolded: bool = False) -> str:
        """Write the page in a language; for print with what is folded away open."""
        return render_page(self.report, more=self.more, language=language, unfolded=unfolded)


def page_arrays(content: PageContent, scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of a file from which `read_page` gives the same content.

    Parameters
    ----------
    content : PageContent
    scores : mapping of str to array
        What scores.npz holds: arrays that stand there are not written again.
    """
    found: dict[str, np.ndarray] = {}
    text = json.dumps(_plain([content.report, content.more], found), separators=(",", ":"))
    known = {array_digest(array) for array in scores.values()}
    own = {digest: array for digest, array in found.items() if digest not in known}
    return {_CONTENT: np.frombuffer(text.encode(), np.uint8), **own}


def read_page(folder: Path) -> PageContent:
    """Read what the page of a finished run is made of; neither data nor store are asked.

    Raises
    ------
    InputError
        If there is no finished run, an older version made it, or its files are damaged.
    """
    read_run(folder)
    path = folder / PAGE_CONTENT
    if not path.is_file():
        raise InputError(
            str(folder),
            got=f"a run without {PAGE_CONTENT}, of an older version",
            wanted="what its page is made of",
            do="Run the study again: its scores are in the store, and only the page is made.",
        )
    try:
        arrays = read_npz(path)
        text = arrays.pop(_CONTENT).tobytes().decode()
        beside = read_npz(folder / "scores.npz").values()
        known = arrays | {array_digest(array): array for array in beside}
        report, more = _made(json.loads(text), known)
    except DamagedArtifactError as error:
        raise damaged_record(error.path, error.fault) from error
    except (KeyError, TypeError, ValueError) as error:
        raise damaged_record(path, " ".join(str(error).split())) from error
    return PageContent(report, more)


def _plain(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The same as JSON; arrays go into `arrays`, named by their content."""
    if isinstance(value, Traced):
        return {"is": "Traced", "text": str(value), "anchor": value.anchor}
    if isinstance(value, np.ndarray):
        digest = array_digest(value)
        arrays[digest] = value
        return {"is": "array", "digest": digest}
    if isinstance(value, csr_array):
        parts = (value.data, value.indices, value.indptr)
        return {"is": "sparse", "shape": [*value.shape], "parts": _plain(parts, arrays)}
    if is_dataclass(value):
        own = {f.name: _plain(getattr(value, f.name), arrays) for f in fields(value)}
        return {"is": type(value).__name__, **own}
    if isinstance(value, Mapping):
        return {"is": "mapping", "items": [_plain(pair, arrays) for pair in value.items()]}
    if isinstance(value, list | tuple):
        return [_plain(one, arrays) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def _made(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `_plain` was given; kinds that it does not name are refused."""
    if isinstance(value, list):
        return tuple(_made(one, arrays) for one in value)
    if not isinstance(value, dict):
        return value
    own = {name: _made(one, arrays) for name, one in value.items() if name != "is"}
    kind = value["is"]
    if kind == "Traced":
        return Traced(own["text"], own["anchor"])
    if kind == "array":
        return arrays[own["digest"]]
    if kind == "sparse":
        return csr_array(own["parts"], shape=own["shape"])
    return dict(own["items"]) if kind == "mapping" else _KINDS[kind](**own)
