"""How fast this machine is taken to compute: what turns counted operations into seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from brainaligner.study._pricing_tunings import PricedStage

SHARE_OF_PEAK = 0.35  # of the speed of large products, which short texts and small blocks reach
_MEASURED_SIDE = 1024
_MEASURED_S = 0.3


@dataclass(frozen=True)
class Speed:
    """Operations per second that this machine is taken to reach in each precision.

    Parameters
    ----------
    by_precision : mapping of str to float
        Holds float32, and what else the stages that are asked about are computed in.
    """

    by_precision: Mapping[str, float]

    def seconds(self, stages: Iterable[PricedStage]) -> float:
        """How long stages take one after the other, whether they are done or not."""
        return sum((s.flop / self.by_precision[s.precision] for s in stages), 0.0)

    def record(self, stages: Iterable[PricedStage]) -> list[dict[str, Any]]:
        """Stages for programs, each with its seconds."""
        return [asdict(stage) | {"seconds": self.seconds([stage])} for stage in stages]

    def words(self) -> str:
        """The speeds, as text: ``60 GFLOP/s`` or ``60 GFLOP/s (bfloat16: 120)``."""
        first, *others = sorted(self.by_precision, key=lambda name: name != "float32")
        beside = ", ".join(f"{name}: {self.by_precision[name] / 1e9:.0f}" for name in others)
        whole = f"{self.by_precision[first] / 1e9:.0f} GFLOP/s"
        return f"{whole} ({beside})" if beside else whole


def measured_speed(stages: Iterable[PricedStage], device: str) -> Speed:
    """Measure this machine in the precisions that stages which are not done need.

    Parameters
    ----------
    stages : iterable of PricedStage
    device : str
        As torch names it.
    """
    needed = {"float32", *(stage.precision for stage in stages if not stage.done)}
    return Speed(
        {name: SHARE_OF_PEAK * operations_per_second(device, name) for name in sorted(needed)}
    )


def operations_per_second(device: str, precision: str = "float32") -> float:
    """Measure how fast matrices of side 1024 are multiplied here, in operations/s.

    The fastest product counts, on a CPU by the time of this thread alone: what else runs on the
    machine for a moment says little about the hours to come.

    Parameters
    ----------
    device : str
        As torch names it.
    precision : {"float32", "bfloat16", "float16"}
    """
    import torch

    first = torch.ones(
        _MEASURED_SIDE, _MEASURED_SIDE, device=device, dtype=getattr(torch, precision)
    )
    clock = time.thread_time if device == "cpu" else time.perf_counter
    taken: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < _MEASURED_S or len(taken) < 3:
        started = clock()
        (first @ first).sum().item()
        taken.append(clock() - started)
    return 2.0 * _MEASURED_SIDE**3 / min(taken)
