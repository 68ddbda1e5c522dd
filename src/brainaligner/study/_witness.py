"""A bounded record of the arrays that entered a stage, kept beside what the stage made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from brainaligner.core import Piece
from brainaligner.evaluation import Entered
from brainaligner.study._disk import read_npz, reading_artifact, write_npz

WITNESS = "witness.npz"
KEPT_TARGETS = 32
KEPT_COLUMNS = 24
_INDEX = "index"


def sampled(n_columns: int, keep: int) -> range:
    """At most `keep` columns, evenly spaced, the first among them."""
    step = max(1, -(-n_columns // keep))
    return range(0, n_columns, step)


@dataclass(eq=False)
class WitnessBook:
    """A witness that keeps every row of a few columns of what it is shown.

    Of texts, whose "rows" are hashes, it keeps all. A second look at the same place has to
    find the same values; where it does not, the place is named in `changed`.

    Parameters
    ----------
    n_targets : int
        Columns of whole response arrays, of which blocks may be shown.
    pieces : mapping of role to sequence of Piece
        What stands at each position where a computation knows positions alone.
    """

    n_targets: int
    pieces: Mapping[str, Sequence[Piece]] = field(default_factory=dict)
    kept: dict[tuple[str, str, int], np.ndarray] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)

    def __call__(
        self, role: str, story: str | int, rows: Shaped[np.ndarray, "..."], first: int
    ) -> None:
        """Keep a sample of `rows`."""
        place = (role, *self._place(role, story))
        if rows.ndim == 1:
            self._keep(place, np.array(rows))
            return
        whole = self.n_targets if role.endswith("/responses") else first + rows.shape[1]
        keep = KEPT_TARGETS if role.endswith("/responses") else KEPT_COLUMNS
        columns = np.array(sampled(whole, keep))
        inside = (columns >= first) & (columns < first + rows.shape[1])
        shown = np.full((len(rows), len(columns)), np.nan, dtype=np.float32)
        shown[:, inside] = rows[:, columns[inside] - first]
        self._keep(place, shown)

    def _place(self, role: str, story: str | int) -> tuple[str, int]:
        if isinstance(story, str):
            return story, 0
        known = self.pieces.get(role.split("/")[0], ())
        return (known[story].story, known[story].start) if story < len(known) else (f"?{story}", 0)

    def _keep(self, place: tuple[str, str, int], shown: np.ndarray) -> None:
        before = self.kept.get(place)
        if before is None:
            self.kept[place] = shown
        elif before.shape != shown.shape:
            self.changed.append(" ".join(map(str, place)))
        elif shown.dtype == np.float32:
            both = np.isfinite(before) & np.isfinite(shown)
            if (before[both] != shown[both]).any():
                self.changed.append(" ".join(map(str, place)))
            self.kept[place] = np.where(np.isfinite(before), before, shown)
        elif not np.array_equal(before, shown):  # hashes of texts or settings
            self.changed.append(" ".join(map(str, place)))

    def save(self, folder: Path) -> None:
        """Write `witness.npz`, in an order that no thread decides."""
        entries = sorted(self.kept)
        facts = {"entries": entries, "changed": sorted(set(self.changed))}
        arrays = {f"{i:06d}": self.kept[entry] for i, entry in enumerate(entries)}
        write_npz(folder / WITNESS, arrays | {_INDEX: np.array(json.dumps(facts))})


def joined_books(books: Mapping[str, WitnessBook]) -> WitnessBook:
    """One record of several fits: ``"fit/responses"`` of ``"P1"`` becomes ``"fit/P1/responses"``.

    Parameters
    ----------
    books : mapping of label to WitnessBook
    """
    joined = WitnessBook(0)
    for label, book in books.items():
        for (role, story, start), values in book.kept.items():
            side, kind = role.split("/")
            joined.kept[f"{side}/{label}/{kind}", story, start] = values
        joined.changed += [f"{label}: {place}" for place in book.changed]
    return joined


def read_witness(folder: Path) -> tuple[tuple[Entered, ...], tuple[str, ...]] | None:
    """Read what entered a stage, and the places that changed; None where nothing was kept."""
    path = folder / WITNESS
    if not path.is_file():
        return None
    with reading_artifact(path):
        arrays = read_npz(path)
        facts = json.loads(str(arrays.pop(_INDEX)))
        entries = [
            Entered(role, story, start, arrays[name])
            for (role, story, start), name in zip(facts["entries"], sorted(arrays), strict=True)
        ]
        return tuple(entries), tuple(facts["changed"])
