"""What takes how long: said when a long stage begins, and summed up at the end of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brainaligner.study._progress import Reporter
from brainaligner.study._screen import duration

if TYPE_CHECKING:
    from brainaligner.study._pricing_tunings import PricedStage
    from brainaligner.study._speed import Speed

_LONG_S = 30.0  # what is expected to take less is not announced
_MOST_NAMED, _NAMED_S = 5, 0.5


@dataclass
class _Open:
    """A stage that is being made."""

    stage: str
    inside: float = 0.0  # seconds of stages made inside it
    parts: int = 0  # how many of them are of its own kind


class StageClock:
    """Seconds of each kind of stage.

    A stage that is made inside another one counts for itself alone; where both are of one kind,
    as features that share a pass are, the inner ones are what is counted. What was in the store
    already costs nothing and is not named.

    Parameters
    ----------
    reporter : Reporter
        Told when a kind begins that is expected to take 30 s or more.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._began = time.monotonic()
        self._expected: dict[str, float] = {}
        self._left: dict[str, int] = {}
        self._open: list[_Open] = []
        self.seconds: dict[str, float] = {}
        self.made: dict[str, int] = {}

    def expect(self, stages: Sequence[PricedStage], speed: Speed) -> None:
        """Take in what a plan is expected to take, and say so where it is long.

        Parameters
        ----------
        stages : sequence of PricedStage
        speed : Speed
        """
        for one in (stage for stage in stages if not stage.done):
            self._expected[one.stage] = self._expected.get(one.stage, 0.0) + speed.seconds([one])
            self._left[one.stage] = self._left.get(one.stage, 0) + 1
        total = sum(self._expected.values())
        if total >= _LONG_S:
            parts = _longest(self._expected, self._left)
            self._reporter.line(
                f"expected: about {duration(total)}, good to a factor of two or three: {parts}"
            )

    @contextmanager
    def making(self, stage: str) -> Iterator[None]:
        """Time one stage, and announce its kind where it begins and is long."""
        self._announce(stage)
        began = time.monotonic()
        self._open.append(_Open(stage))
        try:
            yield
        finally:
            one, whole = self._open.pop(), time.monotonic() - began
            self.seconds[stage] = self.seconds.get(stage, 0.0) + whole - one.inside
            self.made[stage] = self.made.get(stage, 0) + (0 if one.parts else 1)
            if self._open:
                above = self._open[-1]
                above.inside += whole
                above.parts += above.stage == stage

    def waiting(self, stage: str) -> None:
        """Say that another process is making a stage, and that this one goes on after it."""
        self._reporter.line(f"{stage}: another process is making the same one; waiting for it")

    def _announce(self, stage: str) -> None:
        expected = self._expected.pop(stage, 0.0)
        if expected >= _LONG_S:
            rest = sum(self._expected.values())
            then = f"; then about {duration(rest)}" if rest >= _LONG_S else ""
            self._reporter.line(
                f"{stage} begins: {self._left[stage]} to make, about {duration(expected)}{then}"
            )

    def summary(self) -> str:
        """One line: how long it took since the clock was made, and the slowest stages."""
        whole = f"took {duration(time.monotonic() - self._began)}"
        return f"{whole} ({_longest(self.seconds, self.made)})"


def _longest(seconds: Mapping[str, float], counts: Mapping[str, int]) -> str:
    """The longest kinds, with how many there are in brackets where it is more than one."""
    kinds = sorted(seconds, key=lambda kind: -seconds[kind])[:_MOST_NAMED]
    named = [kind for kind in kinds if seconds[kind] >= _NAMED_S] or kinds[:1]
    many = {kind: f" [{counts[kind]}]" if counts[kind] > 1 else "" for kind in named}
    return ", ".join(f"{kind} {duration(seconds[kind])}{many[kind]}" for kind in named)
