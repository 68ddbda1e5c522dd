"""What a run says of its time, against a clock that the test turns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from study_trees import Cli, StudyFile

from brainaligner.study._pricing_tunings import PricedStage
from brainaligner.study._progress import PlainReporter
from brainaligner.study._speed import Speed, measured_speed
from brainaligner.study._stage_clock import StageClock


class Turned:
    """A clock that stands still until it is turned."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> Turned:
    clock = Turned()
    monkeypatch.setattr("brainaligner.study._stage_clock.time.monotonic", clock)
    return clock


def said(lines: list[str]) -> list[str]:
    """Lines without date and time."""
    return [line.split(" ", 2)[2] for line in lines]


def test_a_stage_inside_another_counts_for_itself(turned: Turned) -> None:
    clock = StageClock(PlainReporter([].append))
    with clock.making("readout"):
        turned.now += 10
        with clock.making("decomposition"):
            turned.now += 100
        turned.now += 5
    assert clock.seconds == {"decomposition": 100.0, "readout": 15.0}
    assert clock.made == {"decomposition": 1, "readout": 1}
    turned.now += 5
    assert clock.summary() == "took 2 min (decomposition 100 s, readout 15 s)"


def test_parts_of_a_shared_pass_are_counted_once(turned: Turned) -> None:
    clock = StageClock(PlainReporter([].append))
    with clock.making("features"):
        turned.now += 60
        for _ in range(3):
            with clock.making("features"):
                turned.now += 1
    assert clock.seconds == {"features": 63.0}
    assert clock.made == {"features": 3}


def test_a_stage_that_breaks_is_timed_all_the_same(turned: Turned) -> None:
    clock = StageClock(PlainReporter([].append))

    def break_off() -> None:
        with clock.making("tuning"):
            turned.now += 7
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        break_off()
    with clock.making("tuning"):
        turned.now += 1
    assert clock.seconds == {"tuning": 8.0}


def test_what_is_long_is_announced_with_what_comes_after(turned: Turned) -> None:
    lines: list[str] = []
    clock = StageClock(PlainReporter(lines.append))
    stages = [
        PricedStage("features", "a", False, 1e3, 0.0, 0.0),
        PricedStage("tuning", "b", False, 2e5, 0.0, 0.0),
        PricedStage("tuning", "c", False, 16e5, 0.0, 0.0, "bfloat16"),
        PricedStage("tuning", "d", True, 9e9, 0.0, 0.0),
        PricedStage("readout", "e", False, 4e4, 0.0, 0.0),
    ]
    clock.expect(stages, Speed({"float32": 1e3, "bfloat16": 4e3}))
    for kind in ("features", "tuning", "tuning", "readout"):
        with clock.making(kind):
            turned.now += 1
    assert said(lines) == [
        "expected: about 11 min, good to a factor of two or three: "
        "tuning 10 min [2], readout 40 s, features 1 s",
        "tuning begins: 2 to make, about 10 min; then about 40 s",
        "readout begins: 1 to make, about 40 s",
    ]


def test_what_is_short_is_not_announced(turned: Turned) -> None:
    lines: list[str] = []
    StageClock(PlainReporter(lines.append)).expect(
        [PricedStage("features", "a", False, 29e3, 0.0, 0.0)], Speed({"float32": 1e3})
    )
    assert lines == []


def test_a_stage_that_another_process_makes_is_waited_for_aloud() -> None:
    lines: list[str] = []
    StageClock(PlainReporter(lines.append)).waiting("tuning")
    assert said(lines) == ["tuning: another process is making the same one; waiting for it"]


def test_a_speed_counts_each_stage_in_its_own_precision() -> None:
    speed = Speed({"bfloat16": 4e9, "float32": 1e9})
    half = PricedStage("tuning", "a", False, 8e9, 0.0, 0.0, "bfloat16")
    full = PricedStage("readout", "b", False, 3e9, 0.0, 0.0)
    assert speed.seconds([half, full]) == 5.0
    assert [one["seconds"] for one in speed.record([half, full])] == [2.0, 3.0]
    assert speed.words() == "1 GFLOP/s (bfloat16: 4)"
    assert Speed({"float32": 2e9}).words() == "2 GFLOP/s"


def test_only_precisions_that_are_left_to_compute_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, str]] = []

    def measure(device: str, precision: str) -> float:
        asked.append((device, precision))
        return 2e9

    monkeypatch.setattr("brainaligner.study._speed.operations_per_second", measure)
    done = PricedStage("tuning", "a", True, 1.0, 0.0, 0.0, "float16")
    half = PricedStage("tuning", "b", False, 1.0, 0.0, 0.0, "bfloat16")
    found = measured_speed([done, half], "cpu")
    assert asked == [("cpu", "bfloat16"), ("cpu", "float32")]
    assert found == Speed({"bfloat16": 0.7e9, "float32": 0.7e9})


def test_a_run_sums_up_its_stages(cli: Cli, study_file: StudyFile, tmp_path: Path) -> None:
    first = cli("run", study_file(), "--out", tmp_path)
    assert first.code == 0, first.err
    found = re.search(r"took .* \((.*)\)$", first.err, re.MULTILINE)
    assert found
    # A machine decides which stages are slowest.
    named = set(re.findall(r"([a-z_]+) \d", found[1]))
    stored = {folder.name for folder in (tmp_path / "store").iterdir()}
    assert named
    assert named <= stored | {"audit", "report"}
    again = cli("run", study_file(), "--out", tmp_path)
    taken = re.search(r"took .*$", again.err, re.MULTILINE)
    assert taken
    assert "features" not in taken[0]
    assert "took" in (tmp_path / "tiny" / "log.txt").read_text(encoding="utf-8")
