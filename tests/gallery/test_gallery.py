"""Studies that cheat are caught and named; studies that do not are not accused."""

from __future__ import annotations

from pathlib import Path

import pytest
from gallery_bench import Bench, World, mean_r
from gallery_registry import CHEATS, HONEST, HONEST_ON_REAL, ON_SIMULATED, Cheat, Study

ON_REAL = {name: cheat for name, cheat in CHEATS.items() if cheat.real}


def _did(world: World, folder: Path, study: Study) -> Path:
    bench = Bench(world, folder)
    try:
        return study(bench)
    finally:
        bench.patch.undo()


def _check(world: World, folder: Path, cheat: Cheat) -> Path:
    return _did(world, folder, cheat.act)


@pytest.mark.parametrize("name", CHEATS)
def test_cheats_on_simulated_listeners(simulated: World, tmp_path: Path, name: str) -> None:
    run = _check(simulated, tmp_path, CHEATS[name])
    least = CHEATS[name].least
    print("@@", name, mean_r(run), least)
    if least is not None:
        assert mean_r(run) > least


@pytest.mark.parametrize("name", ON_REAL)
def test_cheats_on_real_listeners(real: World, tmp_path: Path, name: str) -> None:
    run = _check(real, tmp_path, ON_REAL[name])
    print("@@ real", name, mean_r(run))


@pytest.mark.parametrize("name", ON_SIMULATED)
def test_honest_studies_of_simulated_listeners(simulated: World, tmp_path: Path, name: str) -> None:
    _did(simulated, tmp_path, HONEST[name])


@pytest.mark.parametrize("name", HONEST_ON_REAL)
def test_honest_studies_of_real_listeners(real: World, tmp_path: Path, name: str) -> None:
    print("@@ real", name, mean_r(_did(real, tmp_path, HONEST[name])))


def test_the_honest_studies_are_as_good_as_they_should_be(simulated: World) -> None:
    assert 0.15 < mean_r(simulated.honest) < 0.2
