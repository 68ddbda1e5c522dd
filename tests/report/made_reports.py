"""Made-up reports: three subjects, three arms, a repeated group, two cuts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from brainaligner.core import Scores, Space, StoryGroup
from brainaligner.evaluation import QUANTILES, Diagnostic, Finding, Interval, Summary
from brainaligner.report import (
    Curve,
    Difference,
    Flatmap,
    FlatPixels,
    Line,
    Result,
    RunReport,
    fsaverage5_coordinates,
)

SUBJECTS = ("UTS01", "UTS02", "UTS03")
ARMS = {
    "Nuisance Z alone": 0.068,
    "MiniLM layer 4, 20 s context": 0.098,
    "RRR of layers 2 and 4, both texts, with Z": 0.119,
}
SINGLE = StoryGroup(
    "test",
    ("alternateithicatom", "avatar", "hangtime", "inamoment", "naked", "odetostepfather",
     "souls", "theclosetthatateeverything"),
)  # fmt: skip
REPEATED = StoryGroup("wheretheressmoke", ("wheretheressmoke",), "repeated")
ABOUT = (
    ("dataset", "ds003020 (LeBel 2023), 200 components per subject"),
    ("reader", "lebel2023-pcs"),
    ("stories", "60 train, 8 validation, 8 test, 1 repeated"),
    ("model", "all-MiniLM-L6-v2, layer 4"),
    ("text", "the row's own words and the 10 rows before, at most 200 tokens"),
    ("clock", "row i owns the words in [10+2i, 12+2i) s"),
    ("delays", "2 to 5 rows"),
    ("ridge", "one alpha for all targets by mean validation r, logspace(0, 7, 15)"),
    ("cuts", "0 and 10 rows"),
    ("versions", "brainaligner 0.1.0, torch 2.13, numpy 2.4"),
)
FINDINGS = (
    Finding("note", "ridge", "Penalties were chosen on 8 validation stories."),
    Finding("warn", "alpha, UTS01", "The chosen alpha, 1e+07, is at the edge of the grid."),
    Finding("fail", "null features", "The null mean .013 is 4.1 standard errors from 0."),
    Finding("warn", "subjects", "Mean r of all subjects lies within 2 %: looks like a shuffle."),
)
DIAGNOSTICS = (
    Diagnostic(
        2, "null features score nothing", "layer 4, as fitted, test", "FAIL",
        "noise +0.0510 ± 0.0010 (bound 3 standard errors and 0.005)",
        "Rows of test stories were seen.",
    ),
    *(
        Diagnostic(8, "alpha inside its grid", f"arm, UTS0{i}", "WARN", "alpha 1e+07", "Widen it.")
        for i in range(1, 6)
    ),
    Diagnostic(10, "lag curve", "layer 4, UTS01", "PASS", "peak at 3", "r peaks where it should."),
    Diagnostic(4, "no brain reaches evaluation features", "", "NOT RUN", "not looked at", "None."),
)  # fmt: skip


def made_summary(scores: Scores) -> Summary:
    """Summarise with plain numpy."""
    r = scores.r[np.isfinite(scores.r)]
    single = scores.group.presentations == "single"
    mean = float(r.mean())
    units = "stories" if single else "blocks, conditional on these stories"
    return Summary(
        arm=scores.arm,
        subject=scores.subject,
        group=scores.group.name,
        presentations=scores.group.presentations,
        label=scores.label,
        space_kind=scores.space.kind,
        rows_cut=scores.rows_cut,
        n_stories=len(scores.group.stories),
        n_rows=scores.n_rows,
        n_targets=len(scores.r),
        n_scored=len(r),
        mean=mean,
        median=float(np.median(r)),
        skew=0.25,
        quantiles=tuple(float(np.quantile(r, q)) for q in QUANTILES),
        interval=Interval(
            low=mean - 0.0061,
            high=mean + 0.0072,
            level=0.95,
            method=f"studentised bootstrap over {units}",
            n_units=8 if single else 14,
            conditional=not single,
        ),
        share_above_null=float((r > 0.03).mean()),
        null_mean=0.0007,
        null_sd=0.0021,
    )


def made_space(kind: str, n_targets: int) -> Space:
    """Components, or voxels scattered over the upper cortex with one in ten off it."""
    if kind != "voxels":
        return Space(kind, n_targets)
    rng = np.random.default_rng(5)
    upper = np.flatnonzero(fsaverage5_coordinates()[:, 2] > -15)
    vertices = np.where(rng.random(n_targets) < 0.1, -1, rng.choice(upper, n_targets))
    return Space(kind, n_targets, vertices=vertices.astype(np.int32))


def made_flatmap(n_targets: int) -> Flatmap:
    """Two round halves of cortex, of which each pixel shows one target."""
    y, x = np.mgrid[-1:1:300j, -2.1:2.1:630j]
    inside = (np.abs(x) - 1.05) ** 2 + y**2 < 1
    n_pixels = int(inside.sum())
    shown = np.arange(n_pixels) * n_targets // n_pixels
    weights = csr_array((np.ones(n_pixels), (np.arange(n_pixels), shown)), (n_pixels, n_targets))
    return Flatmap(FlatPixels(inside, weights), "two circles", "c3" * 16)


def made_scores(space: Space, arm: str, subject: str, group: StoryGroup, cut: int) -> Scores:
    """Skewed scores about the arm's level, the same for the same names."""
    place = [*ARMS].index(arm), SUBJECTS.index(subject), cut, len(group.stories)
    rng = np.random.default_rng(place)
    level = ARMS[arm] * (1 + 0.12 * place[1]) * (1.5 if group is REPEATED else 1)
    where = np.arange(space.size) / 60
    if space.vertices is not None:
        where = fsaverage5_coordinates()[space.vertices, 1] / 22
    wave = 1 + 0.6 * np.sin(where + place[1] / 2)
    r = level * wave * (0.85 if cut else 1) + 0.035 * rng.standard_normal(space.size)
    n_rows = 291 - 2 * cut if group is REPEATED else 2480 - 16 * cut
    return Scores(arm, subject, group, space, np.clip(r, -1, 1), n_rows, cut)


def made_difference(report: RunReport, arm: str, subject: str) -> Difference:
    """An arm less the nuisance block; targets that differ by .05 or more are significant."""
    reference = next(iter(ARMS))
    ours, theirs = (report.find(name, subject, "test", 0) for name in (arm, reference))
    values = ours.scores.r - theirs.scores.r
    mean = float(values.mean())
    interval = Interval(mean - 0.004, mean + 0.005, 0.95, "studentised bootstrap", 8, False)
    stories = {
        story: (theirs.summary.mean + i / 500, ours.summary.mean + i / 400)
        for i, story in enumerate(SINGLE.stories)
    }
    q = np.where(np.abs(values) > 0.05, 0.01, 0.5)
    return Difference(
        arm, reference, subject, "test", 0, mean, interval, values, q, 0.05, stories, "d" * 32
    )


def made_curves() -> tuple[Curve, ...]:
    """One of each kind, worded as a study words it; r falls off beside 2."""
    x = (0.0, 1.0, 2.0, 3.0)
    ends = {"low": (0.03, 0.06, 0.08, 0.05), "high": (0.05, 0.08, 0.10, 0.07)}
    lines = tuple(
        Line(s, x, tuple(y + i / 100 for y in (0.04, 0.07, 0.09, 0.06)), **ends)
        for i, s in enumerate(SUBJECTS)
    )
    alphas = tuple(10.0**i for i in range(6))
    losses = (
        Line("seed 0", (0.5, 1.0), (0.93, 0.91)),
        Line("seed 0", (0.25, 0.5, 0.75), (0.95, 0.93, 0.92), faint=True),
    )
    grid = Line("layer 4", alphas, (0.04, 0.05, 0.07, 0.08, 0.06, 0.02), marked=1e3)
    of_arms = "The arms a, b differ in nothing else. Bars are the intervals of the table."
    return (
        Curve(
            "layer",
            "Mean r by layer, MiniLM, untrained, layer0 to layer3",
            "layer",
            "mean r",
            lines,
            of_arms,
            ("e" * 32,),
        ),
        Curve(
            "context",
            "Mean r by rows of left context (TRs), MiniLM after the tuning es, seed 0, c0 to c3",
            "rows of left context (TRs)",
            "mean r",
            lines,
            of_arms,
        ),
        Curve(
            "lag",
            f"Mean r by delay, {next(iter(ARMS))}",
            "delay in rows, on the row's own clock",
            "mean r, validation stories",
            lines,
            "Each delay by itself, at its best alpha of the grid; 200 targets at most.",
        ),
        Curve(
            "alpha",
            "Mean r by alpha, UTS01",
            "alpha, the penalty being alpha ||W||^2",
            "mean r where alpha was chosen",
            (grid,),
            "Mean over targets. Where targets share an alpha, a ring is around it.",
            logarithmic=True,
        ),
        Curve(
            "training",
            "Loss by epoch, tuning tuned, all subjects",
            "epoch",
            "loss",
            losses,
            "On the aligner's own validation stories, and dashed on its training batches. "
            "Every line is a model; those of one seed look alike.",
        ),
    )


def made_report(kind: str = "components", n_targets: int = 200) -> RunReport:
    """A whole report of made-up numbers."""
    space = made_space(kind, n_targets)
    scores = [
        made_scores(space, arm, subject, group, cut)
        for cut in (0, 10)
        for group in (REPEATED, SINGLE)
        for arm in ARMS
        for subject in SUBJECTS
    ]
    made = RunReport(
        title="Does context help MiniLM predict the brain?",
        study="minilm-context",
        about=ABOUT,
        simulated=kind == "voxels",
        label="held-out stories",
        results=tuple(Result(s, made_summary(s), "1e+05 (shared)") for s in scores),
        findings=FINDINGS,
        settings_text="study: minilm-context\nencoding:\n  alphas: [1.0, 10.0]\n",
        recipes=(("features", "3f" * 32), ("scores", "a9" * 32)),
        curves=made_curves(),
    )
    others = [(arm, subject) for arm in [*ARMS][1:] for subject in SUBJECTS]
    differences = tuple(made_difference(made, *place) for place in others)
    return replace(made, differences=differences)
