"""How a study runs: nothing here can change a number beyond rounding."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from brainaligner.core import InputError, unknown_name


@dataclass(frozen=True)
class RunOptions:
    """Where and on what a study runs. Never part of an artifact's key, but for `language`.

    Parameters
    ----------
    out : Path
        Folder of results; the store is its subfolder ``store``.
    data : str, optional
        Folder of the data, before the study file and the environment.
    device : str
        Torch device: ``"cpu"``, ``"cuda"`` (for the ridge, every GPU), ``"cuda:0"``, ``"mps"``.
    threads : int, optional
        CPU threads of torch, numpy and scipy; their own choice where nothing is said.
    batch_tokens : int
        Tokens (padding included) in one batch of the language model: the default suits a
        CPU's caches, a GPU takes more.
    target_block : int
        Voxels fitted at a time: bounds the memory of the ridge.
    language : str
        Of the page: key of `brainaligner.report.LANGUAGES`. Only the page's artifact knows it.
    """

    out: Path
    data: str | None = None
    device: str = "cpu"
    threads: int | None = None
    batch_tokens: int = 4_096
    target_block: int = 8_192
    language: str = "en"

    def __post_init__(self) -> None:
        check_language(self.language)
        for name in ("threads", "batch_tokens", "target_block"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(
                    f"--{name.replace('_', '-')}",
                    got=str(value),
                    wanted="1 or more",
                    do="Give a positive number.",
                )

    @property
    def rank(self) -> int:
        """Number of this process among those that torchrun started; 0 where it did not."""
        return int(os.environ.get("RANK", "0"))

    @property
    def ridge_device(self) -> str:
        """Where the ridge runs: an Apple GPU has no float64, so there it is the CPU."""
        return "cpu" if self.device == "mps" else self.device

    @property
    def ridge_devices(self) -> tuple[str, ...]:
        """Where blocks of targets are fitted: ``cuda`` without a number is all GPUs."""
        if self.device != "cuda":
            return (self.ridge_device,)
        import torch

        return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count())) or ("cuda",)

    def activate(self) -> None:
        """Check the device and set the number of threads of this process.

        Raises
        ------
        InputError
            For a device that this machine does not have.
        """
        import torch

        names = (*devices(), "cuda") if torch.cuda.is_available() else devices()
        if self.device not in names:
            raise unknown_name("--device", "device", self.device, names)
        if self.threads is not None:
            torch.set_num_threads(self.threads)
            _limit_blas(self.threads)


def _limit_blas(threads: int) -> None:
    """As many threads for the products of numpy and scipy, which torch does not count.

    Their sums depend on the number of threads in the last digits.
    """
    import scipy.linalg  # noqa: F401 - brings a library of its own
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads, user_api="blas")


def check_language(language: str) -> None:
    """Refuse a language that no page can be written in.

    Raises
    ------
    InputError
    """
    from brainaligner.report import LANGUAGES

    if language not in LANGUAGES:
        raise unknown_name("--language", "language", language, LANGUAGES)


def devices() -> tuple[str, ...]:
    """Torch devices that can be named, the CPU first."""
    import torch

    found = ["cpu"]
    found += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return tuple(found)
