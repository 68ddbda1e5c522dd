"""What test stories can show, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def foresight_lines(found: Mapping[str, Any]) -> list[str]:
    """What stands under ``foresight`` in run.json, as lines: one for each subject.

    Parameters
    ----------
    found : mapping
    """
    planned = found.get("planned", [])
    if not planned:
        lacking = found.get("lacking")
        return [f"smallest detectable difference: not stated; {lacking}"] if lacking else []
    first, settings = planned[0], found["settings"]
    lines = [
        f"smallest difference from {found['reference']} that {first['n_stories']} test stories "
        f"find with power {settings['power']:g} (two-sided paired t, alpha "
        f"{settings['alpha']:g}; spread over {first['n_seen']} validation stories, its 95 % "
        "interval in brackets):"
    ]
    for subject in dict.fromkeys(one["subject"] for one in planned):
        own = [one for one in planned if one["subject"] == subject]
        lines.append(f"  {subject}: {_span(own)}; {_margin(own, settings['margin'])}")
    return lines


def _span(planned: list[dict[str, Any]]) -> str:
    ordered = sorted(planned, key=lambda one: float(one["detectable"]))
    ends = [ordered[0]] if len(ordered) == 1 else [ordered[0], ordered[-1]]
    return " to ".join(
        f"{one['detectable']:.4f} [{one['low']:.4f}, {one['high']:.4f}] ({one['arm']})"
        for one in ends
    )


def _margin(planned: list[dict[str, Any]], share: float) -> str:
    margin = planned[0]["margin"]
    if margin is None:
        return "no margin of equivalence: the reference's mean r is not above 0"
    shown = sum(one["resolves_margin"] for one in planned)
    return (
        f'"no difference" within {share:.1%} ({margin:.4f}) can be shown for {shown} of '
        f"{len(planned)} arms"
    )
