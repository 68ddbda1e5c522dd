"""What an artifact says of itself: whose which stories it was fitted, chosen and scored on.

A lineage stands in recipe.json beside what the key digests, and does not enter the key: it
follows from the same settings and inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from brainaligner.core import Piece

if TYPE_CHECKING:
    from brainaligner.study._prepare import Prepared

ROLES = ("fitted_on", "chosen_on", "scored_on")
Entry = dict[str, Any]


def entries(
    prepared: Prepared,
    subject: str,
    pieces: Iterable[Piece | str],
    *,
    text: bool = True,
    bold: bool = True,
) -> list[Entry]:
    """Stories of one subject by the content of their words and responses.

    Parameters
    ----------
    prepared : Prepared
    subject : str
        Whose responses; whose number of rows.
    pieces : iterable of Piece or story
    text, bold : bool
        Which of the two was looked at; the other is None.
    """
    return [_entry(prepared, subject, piece, text, bold) for piece in pieces]


def _entry(prepared: Prepared, subject: str, piece: Piece | str, text: bool, bold: bool) -> Entry:
    whole = Piece(piece) if isinstance(piece, str) else piece
    story, rows = whole.story, prepared.dataset.n_rows(subject, whole.story)
    return {
        "subject": subject if bold else None,  # what knows words alone is shared by subjects
        "story": story,
        "rows": list(whole.rows.indices(rows)[:2]),
        "text": text_digest(prepared, story) if text else None,
        "bold": bold_digest(prepared, subject, story) if bold else None,
    }


def text_digest(prepared: Prepared, story: str) -> str:
    """Content of a story's words and times."""
    known = prepared.division.stimuli.transcripts
    return (known[story] if story in known else prepared.dataset.transcript(story)).digest()


def bold_digest(prepared: Prepared, subject: str, story: str) -> str:
    """Content of a recording."""
    known = prepared.digests.get(subject, {})
    if story in known:
        return known[story]
    return f"{prepared.dataset.reader}/{prepared.dataset.responses_digest(subject, story)}"


def lineage(
    *,
    fitted_on: Iterable[Entry] = (),
    chosen_on: Iterable[Entry] = (),
    scored_on: Iterable[Entry] = (),
) -> Mapping[str, list[Entry]]:
    """The three lists under their names."""
    lists = (fitted_on, chosen_on, scored_on)
    return {role: list(found) for role, found in zip(ROLES, lists, strict=True)}
