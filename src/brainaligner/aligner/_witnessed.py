"""What a witness is shown of texts and brain vectors."""

from __future__ import annotations

from collections.abc import Sequence

from brainaligner.aligner._material import AlignerMaterial
from brainaligner.aligner._story_material import StoryMaterial
from brainaligner.core import Witness, text_hashes
from brainaligner.text import RowText


def show_material(material: AlignerMaterial, role: str, witness: Witness) -> None:
    """Show each story: a hash of each row's text, hashes of its own words, its brain vectors."""
    for story, rows in material.texts.items():
        _show_texts(story, rows, role, witness)
        if material.brain is not None:
            witness(f"{role}/vectors", story, material.brain[story], 0)


def show_stories(material: StoryMaterial, role: str, witness: Witness) -> None:
    """Show the same of stories, with the responses of each subject as its vectors."""
    for story, rows in material.texts.items():
        _show_texts(story, rows, role, witness)
    for subject, stories in material.responses.items():
        for story, values in stories.items():
            witness(f"{role}/{subject}/vectors", story, values, 0)


def _show_texts(story: str, rows: Sequence[RowText], role: str, witness: Witness) -> None:
    texts = text_hashes(f"{len(row.context)} {row.text}" for row in rows)
    witness(f"{role}/texts", story, texts, 0)
    words = text_hashes(word for row in rows for word in row.own)
    witness(f"{role}/words", story, words, 0)
