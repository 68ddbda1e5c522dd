"""What a witness is shown of texts and brain vectors."""

from __future__ import annotations

from brainaligner.aligner._material import AlignerMaterial
from brainaligner.core import Witness, text_hashes


def show_material(material: AlignerMaterial, role: str, witness: Witness) -> None:
    """Show each story: a hash of each row's text, hashes of its own words, its brain vectors."""
    for story, rows in material.texts.items():
        witness(
            f"{role}/texts", story, text_hashes(f"{len(row.context)} {row.text}" for row in rows), 0
        )
        words = text_hashes(word for row in rows for word in row.own)
        witness(f"{role}/words", story, words, 0)
        if material.brain is not None:
            witness(f"{role}/vectors", story, material.brain[story], 0)
