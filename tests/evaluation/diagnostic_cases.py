"""Summaries as real cortex gives them, and as a shuffled split does."""

from __future__ import annotations

from dataclasses import replace

from brainaligner.evaluation import Interval, Summary

REAL = Summary(
    arm="frozen", subject="UTS01", group="test", presentations="single",
    label="held-out stories", space_kind="voxels", rows_cut=0, n_stories=14, n_rows=4000,
    n_targets=100, n_scored=100, mean=0.084, median=0.068, skew=0.9,
    quantiles=(-0.01, 0.03, 0.12, 0.22, 0.3, 0.4),
    interval=Interval(0.07, 0.1, 0.95, "studentised bootstrap over stories", 14, False),
    share_above_null=0.7, null_mean=0.0, null_sd=0.01,
)  # fmt: skip
SHUFFLED = replace(REAL, mean=0.1973, median=0.1952, skew=0.05)


def subjects(summary: Summary, *means: float) -> list[Summary]:
    """The same summary in several subjects, each with its mean and the median beside it."""
    gap = summary.mean - summary.median
    return [
        replace(summary, subject=f"UTS0{i}", mean=mean, median=mean - gap)
        for i, mean in enumerate(means, start=1)
    ]
