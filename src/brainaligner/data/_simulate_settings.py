"""Settings of a simulated dataset."""

from __future__ import annotations

import math
from dataclasses import dataclass

from brainaligner.core import InputError, settle_types


@dataclass(frozen=True)
class SimulationSettings:
    """What a simulated dataset holds. The numbers are ours, by choice.

    Parameters
    ----------
    n_voxels : tuple of int
        Voxels of each listener; listeners are called SIM01, SIM02, ...
    signal : tuple of float
        Signal variance over noise variance at the best place of each listener's cortex, in
        one presentation.
    silent_share : float
        Share of the cortex, in one piece, that carries no signal at all.
    n_repeats : int
        Presentations of the repeated story.
    repeated_story : str
        The story that was presented several times.
    noise_ar : float
        Correlation of the noise from one row to the next.
    smoothness_mm : float
        Full width at half maximum of the kernel that smooths noise and weights, in mm.
    word_rate_share : float
        Share of the signal variance that word rate carries.
    n_directions : int
        How many directions of feature space (leading principal components) drive responses.
    alike : float
        Share of the variance of the weights that all listeners have in common.
    no_signal : bool
        No signal anywhere.
    seed : int
        The same seed gives the same bytes.

    Raises
    ------
    InputError
        If a number is out of its range, or `n_voxels` and `signal` differ in length.
    """

    n_voxels: tuple[int, ...] = (2400, 2000, 1600)
    signal: tuple[float, ...] = (1.2, 0.9, 0.7)
    silent_share: float = 0.35
    n_repeats: int = 10
    repeated_story: str = "lanternkeeper"
    noise_ar: float = 0.5
    smoothness_mm: float = 12.0
    word_rate_share: float = 0.2
    n_directions: int = 10
    alike: float = 0.6
    no_signal: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        settle_types(self, where="simulation settings")
        self._check_listeners()
        ranges = {
            "silent_share": (0, 0.95),
            "n_repeats": (2, 100),
            "noise_ar": (0, 0.95),
            "smoothness_mm": (1, 200),
            "word_rate_share": (0, 1),
            "n_directions": (1, 1000),
            "alike": (0, 1),
            "seed": (0, 4294967295),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise _out_of_range(name, getattr(self, name), f"{low} to {high}")

    def _check_listeners(self) -> None:
        if not self.n_voxels or len(self.n_voxels) != len(self.signal):
            raise InputError(
                "simulation settings: signal",
                got=f"{len(self.signal)} values for {len(self.n_voxels)} listeners",
                wanted="one for each listener in n_voxels, and at least one listener",
                do="Give n_voxels and signal the same length.",
            )
        for count in self.n_voxels:
            if count < 1:
                raise _out_of_range("n_voxels", count, "1 or more")
        for ratio in self.signal:
            if not (math.isfinite(ratio) and ratio > 0):
                raise _out_of_range("signal", ratio, "a finite number above 0")

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the listeners."""
        return tuple(f"SIM{number:02d}" for number in range(1, len(self.n_voxels) + 1))


def _out_of_range(name: str, got: object, wanted: str) -> InputError:
    do = "Use no_signal: true for no signal." if name == "signal" else "Correct the setting."
    return InputError(f"simulation settings: {name}", got=str(got), wanted=wanted, do=do)
