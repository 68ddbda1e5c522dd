"""States of tuned models from shared lower layers are those of the whole pass."""

from __future__ import annotations

import copy
import errno
import mmap
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_aligners import CAUSAL, FAMILIES

from brainaligner.aligner import BrainAligner, upper_states
from brainaligner.text import LanguageModel, RowText, TextSettings, row_states

Aligners = Callable[..., BrainAligner]
READING = TextSettings(layer=2, max_tokens=20)
TEXTS = {
    "a": [RowText((), ("w1", "w2")), RowText(("w1", "w2"), ("w3",)), RowText(("w3",), ())],
    "b": [RowText((), ("w5", "w9", "w7")), RowText((), ("w1", "w2"))],
}


def _tuned(aligner: BrainAligner, seed: int) -> LanguageModel:
    """The same model with other weights in layers 2 and 3."""
    module = copy.deepcopy(aligner.reader.module)
    stack = next(p for p in module.modules() if isinstance(p, torch.nn.ModuleList) and len(p) == 3)
    torch.manual_seed(seed)
    for layer in stack[1:]:
        for weight in layer.parameters():
            weight.data += 0.1 * torch.randn_like(weight)
    return replace(aligner.reader, module=module)


@pytest.mark.parametrize("layers", [[3], [2], [1, 2]])
@pytest.mark.parametrize("family", [*FAMILIES, *CAUSAL])
def test_states_equal_those_of_the_whole_pass(
    tiny: Aligners, tmp_path: Path, family: str, layers: list[int]
) -> None:
    for seed in (0, 1):
        model = _tuned(tiny(family), seed)
        found = upper_states(
            model, TEXTS, layers, unchanged=1, folder=tmp_path / "states", settings=READING
        )
        wanted = row_states(model, TEXTS, layers, settings=READING)
        assert found is not None
        assert list(found) == layers
        for layer in layers:
            for story in TEXTS:
                np.testing.assert_allclose(found[layer][story], wanted[layer][story], atol=1e-5)
    assert len([*(tmp_path / "states").glob("*.npy")]) == len(TEXTS)  # the second read the first's


def test_other_lower_layers_have_their_own_states(tiny: Aligners, tmp_path: Path) -> None:
    for seed in (0, 1):
        upper_states(
            _tuned(tiny("bert"), seed), TEXTS, [3], unchanged=2, folder=tmp_path, settings=READING
        )
    assert len([*tmp_path.glob("*.npy")]) == 2 * len(TEXTS)


@pytest.mark.parametrize(
    ("unchanged", "layers", "reading"),
    [
        (0, [2], READING),
        (3, [3], READING),
        (2, [1, 3], READING),
        (1, [2], replace(READING, empty="previous")),
    ],
)
def test_what_cannot_be_shared_is_left_to_the_whole_pass(
    tiny: Aligners, tmp_path: Path, unchanged: int, layers: list[int], reading: TextSettings
) -> None:
    model = tiny("bert").reader
    found = upper_states(
        model, TEXTS, layers, unchanged=unchanged, folder=tmp_path / "states", settings=reading
    )
    assert found is None
    assert not (tmp_path / "states").exists()


def test_a_full_disk_leaves_it_to_the_whole_pass(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brainaligner.aligner._layer_cache._free", lambda _: 0)
    model = tiny("bert").reader
    found = upper_states(model, TEXTS, [2], unchanged=1, folder=tmp_path, settings=READING)
    assert found is None


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np, torch
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
from brainaligner.aligner import _layer_cache as cache
from brainaligner.text import TokenRow
class Span:
    def lower(self, ids, mask):
        return torch.zeros(*ids.shape, 256)
rows = [TokenRow(np.arange(n), np.ones(n, np.float32)) for n in (500, 2000)]
file = cache.StoryFile(Path(sys.argv[1]) / "a.npy", np.arange(2), rows, 256)
try:
    cache._make(file, Span(), 0, torch.device("cpu"))
except OSError as error:
    print(error.errno, [*Path(sys.argv[1]).iterdir()])
"""


def test_states_that_no_longer_fit_are_an_error_and_leave_no_file(tmp_path: Path) -> None:
    """A process that may write no more than 1 MiB a file, of the two or so that are needed."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, f"{errno.EFBIG} []\n"), done.stderr


def test_states_are_not_written_through_a_map(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk kills who writes through one: no test can fill a disk everywhere."""
    opened: list[int] = []

    class Noted(mmap.mmap):
        def __new__(cls, *arguments: Any, access: int, **more: Any) -> Noted:
            opened.append(access)
            return super().__new__(cls, *arguments, access=access, **more)

    monkeypatch.setattr(mmap, "mmap", Noted)
    found = upper_states(
        tiny("bert").reader, TEXTS, [2], unchanged=1, folder=tmp_path, settings=READING
    )
    assert found is not None
    assert [*tmp_path.glob("*.npy")]
    assert set(opened) == {mmap.ACCESS_READ}


def test_the_witness_sees_the_texts_as_it_does_in_the_whole_pass(
    tiny: Aligners, tmp_path: Path
) -> None:
    seen: list[list[tuple[str, ...]]] = []
    for read in (
        lambda w: row_states(tiny("bert").reader, TEXTS, [2], settings=READING, witness=w),
        lambda w: upper_states(
            tiny("bert").reader, TEXTS, [2], unchanged=1, folder=tmp_path, settings=READING,
            witness=w,
        ),
    ):  # fmt: skip
        notes: list[tuple[str, ...]] = []
        read(lambda role, story, hashes, start, notes=notes: notes.append((role, story, *hashes)))
        seen.append(notes)
    assert seen[0] == seen[1]
    assert len(seen[0]) == len(TEXTS)
