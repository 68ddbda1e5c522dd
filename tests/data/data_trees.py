"""Pieces of datasets that fixtures and tests write."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

N_ROWS = 30
LABELS = ("{sp}", "Once", "upon", "a", "TIME", "(BR}", "there", "was", "\\SO]", "")


def word_times(n_words: int = len(LABELS)) -> np.ndarray:
    """Onsets and one last offset, 6 s apart."""
    return np.arange(n_words + 1) * 6.0


def long_textgrid(tiers: dict[str, list[tuple[float, float, str]]], xmax: float) -> str:
    """Write a long TextGrid by hand."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0"]
    lines += [f"xmax = {xmax}", "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for i, (name, intervals) in enumerate(tiers.items(), start=1):
        lines += [f"    item [{i}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {xmax}"]
        lines += [f"        intervals: size = {len(intervals)}"]
        for j, (start, end, label) in enumerate(intervals, start=1):
            lines += [f"        intervals [{j}]:", f"            xmin = {start}"]
            lines += [f"            xmax = {end}"]
            lines += ['            text = "' + label.replace('"', '""') + '"']
    return "\n".join(lines) + "\n"


def story_textgrid(shift: float = 0.0) -> str:
    """A phone tier and a word tier, as ds003020 has them."""
    times = word_times() + np.r_[0, np.full(len(LABELS) - 1, shift), 0]
    edges = pairwise(times.tolist())
    words = [(start, end, label) for (start, end), label in zip(edges, LABELS, strict=True)]
    end = float(times[-1])
    return long_textgrid({"phone": [(0.0, end, "AH0")], "word": words}, end)
