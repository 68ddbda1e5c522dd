"""What the room shows, and what entering it costs."""

from __future__ import annotations

import subprocess
import sys
from typing import get_origin

import brainaligner.text as text


def test_public_names_are_sorted_and_real() -> None:
    assert text.__all__ == sorted(text.__all__)
    shown = {
        name
        for name, value in vars(text).items()
        if getattr(value, "__module__", "").startswith("brainaligner.text")
    }
    aliases = {name for name in text.__all__ if get_origin(getattr(text, name)) is not None}
    assert shown == set(text.__all__) - aliases


def test_entering_the_room_loads_no_heavy_library() -> None:
    code = (
        "import sys, brainaligner.text as text\n"
        "print('transformers' in sys.modules)\n"
        "text.model_info('embedded')\n"
        "print('sentence_transformers' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False", "False"]
