"""Studies that cheat are caught and named; studies that do not are not accused."""

from __future__ import annotations

from pathlib import Path

import pytest
from gallery_bench import Bench, World, mean_r
from gallery_judge import Verdict, judge
from gallery_registry import (
    CHEATS,
    HONEST,
    HONEST_ON_REAL,
    KNOWN_MISSES,
    ON_SIMULATED,
    Cheat,
    Study,
)

ON_REAL = {name: cheat for name, cheat in CHEATS.items() if cheat.real}


def _finished(world: World, folder: Path, study: Study) -> Path:
    """Run a study; what it patched is itself again afterwards."""
    bench = Bench(world, folder)
    try:
        return study(bench)
    finally:
        bench.patch.undo()


def _is_named(cheat: Cheat, verdict: Verdict) -> bool:
    """Whether one of the expected names was given; looking often is warned of, and allowed."""
    given = verdict.faults | (verdict.warned & {"test-set-opened"})
    return bool(given & set(cheat.faults))


def _check_named(world: str, name: str, verdict: Verdict) -> None:
    known = (world, name) in KNOWN_MISSES
    said = "\n".join(verdict.words) or "nothing was found"
    assert _is_named(CHEATS[name], verdict) != known, said


@pytest.mark.parametrize("name", CHEATS)
def test_cheats_on_simulated_listeners(simulated: World, tmp_path: Path, name: str) -> None:
    run = _finished(simulated, tmp_path, CHEATS[name].act)
    least = CHEATS[name].least
    assert least is None or mean_r(run) > least
    _check_named("simulated", name, judge(run))


@pytest.mark.parametrize("name", ON_REAL)
def test_cheats_on_real_listeners(real: World, tmp_path: Path, name: str) -> None:
    run = _finished(real, tmp_path, ON_REAL[name].act)
    _check_named("real", name, judge(run))


@pytest.mark.parametrize("name", ON_SIMULATED)
def test_honest_studies_of_simulated_listeners(simulated: World, tmp_path: Path, name: str) -> None:
    verdict = judge(_finished(simulated, tmp_path, HONEST[name]))
    assert not verdict.faults, "\n".join(verdict.words)


@pytest.mark.parametrize("name", HONEST_ON_REAL)
def test_honest_studies_of_real_listeners(real: World, tmp_path: Path, name: str) -> None:
    verdict = judge(_finished(real, tmp_path, HONEST[name]))
    assert not verdict.faults, "\n".join(verdict.words)


def test_cheating_would_have_paid(simulated: World) -> None:
    assert 0.15 < mean_r(simulated.honest) < 0.2
