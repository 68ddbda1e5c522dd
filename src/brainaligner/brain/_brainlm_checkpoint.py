"""A folder with a BrainLM checkpoint -> a network that is ready to read."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brainaligner.brain._brainlm_config import (
    BrainLMConfig,
    config_from_json,
    config_to_json,
    nystromformer,
)
from brainaligner.brain._brainlm_model import BrainLMNetwork
from brainaligner.core import InputError

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_NOTE = "brainaligner_note"


@dataclass(frozen=True)
class BrainLMInfo:
    """What a checkpoint folder says before its weights are read.

    Parameters
    ----------
    folder : Path
    config : BrainLMConfig
    weights : Path
        ``model.safetensors``, or else ``pytorch_model.bin``.
    note : str
        What `random_brainlm` wrote into config.json: that the weights are random. Empty for a
        trained model.
    """

    folder: Path
    config: BrainLMConfig
    weights: Path
    note: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content of config.json and weights; paths do not enter."""
        whole = hashlib.sha256()
        for path in (self.folder / "config.json", self.weights):
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            whole.update(f"{path.name}\0{content}\n".encode())
        return whole.hexdigest()


@dataclass(frozen=True, eq=False)
class BrainLM:
    """A frozen BrainLM model.

    Parameters
    ----------
    info : BrainLMInfo
    network : torch.nn.Module
        In evaluation mode, float32.
    device : torch.device
    """

    info: BrainLMInfo
    network: BrainLMNetwork
    device: torch.device

    @property
    def config(self) -> BrainLMConfig:
        """Its geometry."""
        return self.info.config


def brainlm_info(folder: Path) -> BrainLMInfo:
    """Describe the checkpoint in a folder; of its weights, the table of contents is read.

    Raises
    ------
    InputError
        If config.json or the weights are missing or cut short, or the model is
        of the Nystromformer kind (old_13M).
    """
    path = folder / "config.json"
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(given, dict):
        raise _unreadable(path, f"a {type(given).__name__} instead of fields")
    weights = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if weights is None:
        raise _unreadable(folder, "no weights")
    _check_whole(weights)
    config = config_from_json(str(path), given)
    return BrainLMInfo(folder, config, weights, str(given.get(_NOTE, "")))


def load_brainlm(folder: Path, *, device: str = "cpu", decoder: bool = False) -> BrainLM:
    """Load a BrainLM checkpoint, strictly.

    Nothing in the folder is executed: ``pytorch_model.bin`` is opened with ``weights_only``.
    Weights are kept in float32; `BrainLMSettings.dtype` says what the products run in.

    Parameters
    ----------
    folder : Path
        With config.json and ``model.safetensors`` or ``pytorch_model.bin`` of vitmae_111M or
        vitmae_650M (https://huggingface.co/vandijklab/brainlm, CC BY-NC-ND 4.0: the user's to
        download), or what `random_brainlm` made.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    decoder : bool
        Keep the decoder, which `reconstruction_r2` needs. Otherwise ``decoder.*`` is dropped.

    Raises
    ------
    InputError
        If a file is missing or truncated; a weight is missing, unknown, of another shape or
        not finite; or the device is not there.
    """
    place = _checked_device(device)
    info = brainlm_info(folder)
    state = _read_weights(info.weights)
    with torch.device("meta"):
        network = BrainLMNetwork(info.config, decoder=decoder)
    if not decoder:
        state = {name: value for name, value in state.items() if not name.startswith("decoder.")}
    _check_names(info.weights, network.state_dict(), state)
    for name, value in network.state_dict().items():
        _check_weight(info.weights, name, state[name], value.shape)
    whole = {name: value.float() for name, value in state.items()}
    network.load_state_dict(whole, strict=True, assign=True)
    return BrainLM(info, network.to(place).eval().requires_grad_(False), place)


def random_brainlm(config: BrainLMConfig, *, seed: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Make a checkpoint of random weights, for demonstrations, tests and controls.

    Linear maps and tokens are normal with standard deviation 0.02, biases 0, layer norms 1;
    positions are the fixed 2-D sines and cosines of a ViT-MAE.

    Parameters
    ----------
    config : BrainLMConfig
        Widths must be multiples of 4.
    seed : int

    Returns
    -------
    fields : dict
        The content of config.json. It says that the weights are random, and so does the
        provenance of all vectors made with them.
    state : dict of str to float32 tensor
        To be saved as ``model.safetensors``.
    """
    with torch.device("meta"):
        wanted = BrainLMNetwork(config, decoder=True).state_dict()
    rng = torch.Generator().manual_seed(seed)
    state = {name: _random_weight(name, value.shape, rng) for name, value in wanted.items()}
    for name in ("vit.embeddings.position_embeddings", "decoder.decoder_pos_embed"):
        state[name] = grid_positions(config.grid, wanted[name].shape[-1])
    note = f"random weights, seed {seed}: not a trained model"
    return {**config_to_json(config), "model_type": "vit_mae", _NOTE: note}, state


def grid_positions(grid: tuple[int, int], width: int) -> Tensor:
    """Fixed positions, shape (1, 1 + row * column, width), row by row; zeros for the class token.

    The first half of the width encodes the column, the second half the row: each
    ``[sin(p w_j), cos(p w_j)]`` with ``w_j = 10000 ** (-j / (width / 4))``.

    Raises
    ------
    InputError
        If `width` is no multiple of 4.
    """
    if width % 4:
        raise InputError(
            "positions of a BrainLM model",
            got=f"width {width}",
            wanted="a multiple of 4",
            do="Choose such hidden sizes.",
        )
    rates = 10_000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    row, column = torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")
    angles = [place.reshape(-1, 1) * rates for place in (column, row)]
    waves = torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)
    return torch.cat([torch.zeros(1, width), waves.float()])[None]


def _random_weight(name: str, shape: torch.Size, rng: torch.Generator) -> Tensor:
    if name.endswith("bias"):
        return torch.zeros(shape)
    if "norm" in name:
        return torch.ones(shape)
    return 0.02 * torch.randn(shape, generator=rng)


def _check_whole(path: Path) -> None:
    """Refuse a file that was cut short, by its table of contents alone."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        with path.open("rb") as file:
            start = file.read(2)
        if start[:1] == b"\x80" or (start == b"PK" and zipfile.is_zipfile(path)):
            return
        raise _unreadable(path, "a file that is cut short, or nothing that torch wrote")
    try:
        with safe_open(path, "pt"):
            pass
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, f"a file that fails ({error})") from error


def _read_weights(path: Path) -> dict[str, Tensor]:
    from pickle import UnpicklingError

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, UnpicklingError,
            SafetensorError) as error:  # fmt: skip
        first = (str(error).strip().splitlines() or [""])[0]
        raise _unreadable(path, f"a file that fails ({type(error).__name__}: {first})") from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise _unreadable(path, "something else than named tensors")
    return dict(state)


def _check_names(path: Path, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    if any("signal_embedding_projection" in name for name in state):
        raise nystromformer(str(path))
    for what, names in (("no", set(wanted) - set(state)), ("unknown", set(state) - set(wanted))):
        if names:
            raise _unreadable(path, f"{what} {min(names)} ({len(names)} such in all)")


def _check_weight(path: Path, name: str, value: Tensor, shape: torch.Size) -> None:
    if value.shape != shape:
        raise InputError(
            f"{path}, {name}",
            got=f"shape {tuple(value.shape)}",
            wanted=f"{tuple(shape)}, as config.json says",
            do="Keep config.json and weights of the same download together.",
        )
    if not (value.is_floating_point() and bool(torch.isfinite(value).all())):
        raise _unreadable(path, f"{name} with values that are not finite numbers")


def _checked_device(name: str) -> torch.device:
    try:
        place = torch.device(name)
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            "device",
            got=f"{name!r}, which torch cannot use ({(str(error).splitlines() or [''])[0]})",
            wanted="a device of this machine, such as 'cpu' or 'cuda:0'",
            do="Run on 'cpu', or install a torch that knows this device.",
        ) from error
    return place


def _unreadable(path: Path, got: str) -> InputError:
    return InputError(
        f"BrainLM checkpoint {path}",
        got=got,
        wanted=f"config.json and {' or '.join(WEIGHT_FILES)} of vitmae_111M or vitmae_650M",
        do="Download the checkpoint's folder again, whole.",
    )
