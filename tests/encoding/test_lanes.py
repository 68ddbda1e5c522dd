"""Blocks dealt to several devices come out as from one."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_ridge import StoriesAround, planted_stories

from brainaligner.core import InputError
from brainaligner.encoding import ArrayStories, RidgeBlock, RidgeSettings, Scratch, stream_ridge

GRID = (1.0, 100.0, 1e4)
ROWS = (60, 40, 50)
TEST = planted_stories(4, (20,), n_targets=31)


class Watched(StoriesAround):
    """Stories that note which threads read them, and whether two did at once."""

    def __init__(self, inner: ArrayStories) -> None:
        super().__init__(inner)
        self.inside = 0
        self.most = 0
        self.threads: set[str] = set()

    def design(self, i: int) -> np.ndarray:
        return self._noted(super().design(i))

    def responses(self, i: int, targets: slice) -> np.ndarray:
        return self._noted(super().responses(i, targets))

    def _noted(self, values: np.ndarray) -> np.ndarray:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.threads.add(threading.current_thread().name)
        time.sleep(0.0005)  # lets another thread in, if one may
        self.inside -= 1
        return values


def stream(train: Any, devices: list[str], *, n_targets: int = 31, **options: Any) -> Any:
    """Validated on another story; blocks of four targets."""
    return stream_ridge(
        train,
        planted_stories(4, (45,), n_targets=n_targets),
        (),
        settings=RidgeSettings(alphas=GRID),
        device=devices,
        target_block=4,
        **options,
    )


def blocks(
    devices: list[str] | str, *, n_targets: int = 31, train: Any = None, **options: Any
) -> list[RidgeBlock]:
    train = train or planted_stories(3, ROWS, n_targets=n_targets)
    left_out = options.pop("selection", "validation") == "leave_story_out"
    validation = None if left_out else planted_stories(4, (45,), n_targets=n_targets)
    asked = RidgeSettings(
        alphas=GRID,
        alpha=options.pop("alpha", "shared"),
        selection="leave_story_out" if left_out else "validation",
        form=options.pop("form", "auto"),
    )
    return list(
        stream_ridge(
            train, validation, TEST, settings=asked, device=devices, target_block=4, **options
        )
    )


@pytest.mark.parametrize("keep_bytes", [0, 1 << 20])
@pytest.mark.parametrize("form", ["primal", "dual"])
@pytest.mark.parametrize("alpha", ["shared", "per_target"])
@pytest.mark.parametrize("selection", ["validation", "leave_story_out"])
@pytest.mark.parametrize("n_devices", [2, 3])
def test_several_devices_give_the_bytes_of_one(
    n_devices: int, selection: str, alpha: str, form: str, keep_bytes: int, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"selection": selection, "alpha": alpha, "form": form}
    one = blocks("cpu", **asked)
    several = blocks(["cpu"] * n_devices, keep_bytes=keep_bytes, scratch=Scratch(tmp_path), **asked)
    assert [block.targets for block in several] == [block.targets for block in one]
    for a, b in zip(one, several, strict=True):
        np.testing.assert_array_equal(a.choice.validation_r, b.choice.validation_r)
        np.testing.assert_array_equal(a.weights, b.weights)
        np.testing.assert_array_equal(a.predictions[0], b.predictions[0])
    assert list(tmp_path.iterdir()) == []


def test_each_device_works_in_a_thread_of_its_own_and_stories_are_read_one_at_a_time() -> None:
    watched = Watched(planted_stories(3, ROWS, n_targets=31))
    before = threading.active_count()
    blocks(["cpu", "cpu"], train=watched)
    assert len(watched.threads) > 2
    assert watched.most == 1
    assert threading.active_count() == before


def test_a_stream_that_is_left_early_stops_all_devices(tmp_path: Path) -> None:
    train = planted_stories(3, ROWS, n_targets=31)
    before = threading.active_count()
    found = stream(train, ["cpu", "cpu"], keep_bytes=0, scratch=Scratch(tmp_path))
    next(found)
    found.close()
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


def test_an_error_on_one_device_ends_the_fit() -> None:
    class Broken(Watched):
        def responses(self, i: int, targets: slice) -> np.ndarray:
            values = super().responses(i, targets)
            return np.full_like(values, np.nan) if targets.start == 8 else values

    with pytest.raises(InputError, match="NaN"):
        blocks(["cpu", "cpu"], train=Broken(planted_stories(3, ROWS, n_targets=31)))


@pytest.mark.parametrize(
    ("devices", "message"), [([], "devices: got none"), (["cpu", "tpu9"], "'tpu9'")]
)
def test_devices_that_are_not_there_are_refused(devices: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        blocks(devices)


@pytest.mark.parametrize(
    ("form", "selection", "n_targets", "words"),
    [
        ("auto", "validation", 31, "primal, 12 directions, float32 on cpu, cpu"),
        ("dual", "validation", 31, "dual, 150 directions, float64 on cpu, cpu"),
        ("auto", "leave_story_out", 31, "primal, 12 directions, float32 on cpu, cpu"),
        ("auto", "leave_story_out", 9, "primal, 12 directions, float64 on cpu, cpu"),
    ],
)
def test_what_was_chosen_is_said(form: str, selection: str, n_targets: int, words: str) -> None:
    found = blocks(["cpu", "cpu"], form=form, selection=selection, n_targets=n_targets)
    assert {str(block.route) for block in found} == {words}


def test_an_error_on_one_device_stops_the_others() -> None:
    read_after: list[int] = []
    failed = threading.Event()

    class Slow(Watched):
        """Many stories, of which one device reads on while another finds a damaged one."""

        def responses(self, i: int, targets: slice) -> np.ndarray:
            values = super().responses(i, targets)
            if threading.current_thread() is threading.main_thread():
                return values
            if targets.start == 0 and i == 1:
                failed.set()
                return np.full_like(values, np.nan)
            if targets.start and failed.is_set():
                read_after.append(i)
                time.sleep(0.02)
            return values

    train = Slow(planted_stories(3, (10,) * 300, n_targets=8))
    with pytest.raises(InputError, match="NaN"):
        next(stream(train, ["cpu", "cpu"], n_targets=8))
    assert failed.is_set()
    assert len(read_after) < 150
