"""Which benchmarks there are, and with what arguments each size runs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CHECKOUTS = {
    "huth": "encoding/ridge_utils/ridge.py",
    "litcoder": "encoding/models/ridge_regression.py",
}
"""Peers that are run from a checkout, and the file by which one is known."""

WHERE = {"huth": "HuthLab/deep-fMRI-dataset", "litcoder": "GT-LIT-Lab/litcoder_core"}
PACKAGED = ("himalaya", "scikit-learn")
PEERS = (*PACKAGED, *CHECKOUTS)
DOUBLE = "-float64"
ALL_PEERS = (*PEERS, f"huth{DOUBLE}")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Script:
    """What options a script has.

    Attributes
    ----------
    turns, threads : bool
        Whether it has these; threads of BLAS are set for all by the environment.
    disk : str, optional
        The one that says where large arrays are written; temporary folders are there anyhow.
    """

    turns: bool = True
    threads: bool = True
    disk: str | None = None


SCRIPTS: dict[str, Script] = {
    "ridge": Script(disk="--scratch"),
    "leave_story_out": Script(),
    "ridge_memory": Script(turns=False, disk="--disk"),
    "text_features": Script(),
    "aligner_step": Script(),
    "layer_cache": Script(),
    "read_columns": Script(threads=False),
    "block_permutation": Script(turns=False, threads=False),
}


@dataclass(frozen=True)
class Benchmark:
    """A script, and what it is asked for.

    Attributes
    ----------
    script : str
        One of `SCRIPTS`.
    asked : str
        Its arguments, but for turns, threads, folders and peers.
    peers : tuple of str
        Other libraries that it runs; one with ``-float64`` behind its name is given such arrays.
    """

    script: str
    asked: str = ""
    peers: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The script's file."""
        return HERE / f"{self.script}.py"


SIZES: dict[str, dict[str, Benchmark]] = {
    "minute": {
        "ridge-minute": Benchmark("ridge", "--size minute", PEERS),
        "leave-story-out": Benchmark(
            "leave_story_out", "--rows 3000 --features 256 --targets 1000 --stories 20"
        ),
        "ridge-memory": Benchmark(
            "ridge_memory", "--rows 1500 --features 512 --targets 4000 16000"
        ),
        "text-features": Benchmark("text_features", "--shape minilm --texts 100 --padded 4"),
        "aligner-step": Benchmark("aligner_step", "--shape minilm --steps 4 --batch 4"),
        "layer-cache": Benchmark("layer_cache", "--shape minilm --rows 16"),
        "read-columns": Benchmark("read_columns", "--voxels 16384"),
        "block-permutation": Benchmark(
            "block_permutation", "cortex --voxels 8192 --permutations 1000"
        ),
    },
    "laptop": {
        "ridge-minute": Benchmark("ridge", "--size minute", ALL_PEERS),
        "ridge-story": Benchmark("ridge", "--size story", ALL_PEERS),
        "ridge-laptop": Benchmark("ridge", "--size laptop", ALL_PEERS),
        "leave-story-out": Benchmark("leave_story_out"),
        "ridge-memory": Benchmark(
            "ridge_memory", "--rows 8000 --features 1024 --targets 10000 40000"
        ),
        "text-features": Benchmark("text_features", "--shape minilm --texts 1000 --padded 32"),
        "aligner-step": Benchmark("aligner_step", "--shape minilm --steps 12"),
        "layer-cache": Benchmark("layer_cache", "--shape minilm --rows 64"),
        "read-columns": Benchmark("read_columns"),
        "block-permutation": Benchmark("block_permutation", "cortex"),
    },
    "real": {
        "ridge-story": Benchmark("ridge", "--size story", ALL_PEERS),
        "ridge-laptop": Benchmark("ridge", "--size laptop", ALL_PEERS),
        "ridge-wide": Benchmark("ridge", "--size wide", ALL_PEERS),
        "leave-story-out": Benchmark("leave_story_out"),
        "ridge-memory": Benchmark(
            "ridge_memory", "--rows 20000 --features 4096 --targets 10000 90000 --three"
        ),
        "text-features": Benchmark("text_features", "--shape bert-large --texts 500 --padded 32"),
        "aligner-step": Benchmark("aligner_step", "--shape bert-large --steps 5"),
        "layer-cache": Benchmark("layer_cache", "--shape bert-large --rows 16"),
        "read-columns": Benchmark("read_columns"),
        "block-permutation": Benchmark("block_permutation", "cortex"),
    },
}
"""Frozen: a figure of one day is compared with that of another one under the same name."""
