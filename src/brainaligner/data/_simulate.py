"""Simulated listeners, written in the layout of ds003020."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import nibabel
import numpy as np
from jaxtyping import Float64, Shaped

from brainaligner.core import (
    InputError,
    Progress,
    Transcript,
    no_progress,
    unknown_name,
    zscore,
)
from brainaligner.data._simulate_cortex import Cells, cortex_cells, signal_profile, smooth_basis
from brainaligner.data._simulate_responses import (
    Drivers,
    driver_weights,
    smooth_noise,
    story_drivers,
)
from brainaligner.data._simulate_settings import SimulationSettings
from brainaligner.data._simulate_speech import scans_of, story_rows, story_transcripts
from brainaligner.data._simulate_textgrid import SERIALISATIONS, textgrid_bytes

__all__ = ["SimulationSettings", "simulate_tree", "story_rows", "story_transcripts"]

NOTICE = "SIMULATED.txt"
_NOTICE = """\
SIMULATED DATA. Nobody was scanned.

The files under derivative/ have the layout of OpenNeuro ds003020. Their stories were written
for this package, their responses were drawn by a program from the settings in
truth/settings.json, and truth/SIMxx.npz holds what a model of each listener should find:

snr                    signal variance / noise variance of each voxel, one presentation
signal_power           snr / (1 + snr): share of a z-scored response that is signal
ceiling                sqrt(signal_power): highest r that any model can reach, on average
repeated_signal_power  signal_power within the repeated story alone
weights                (feature, voxel), for features z-scored within story, before the
                       haemodynamic response; in units of the noise's standard deviation
word_rate_weights      the same for word counts z-scored within story
silent                 voxels without any signal
"""


@dataclass(frozen=True, eq=False)
class _Listener:
    """One simulated listener: where the voxels lie and what drives them."""

    name: str
    cells: Cells
    basis: Float64[np.ndarray, "voxel wave"]
    snr: Float64[np.ndarray, "voxel"]
    weights: Float64[np.ndarray, "driver voxel"]


def simulate_tree(
    folder: Path,
    transcripts: Mapping[str, Transcript],
    features: Mapping[str, Shaped[np.ndarray, "..."]],
    surface_coordinates: Shaped[np.ndarray, "..."],
    *,
    settings: SimulationSettings,
    progress: Progress = no_progress,
) -> None:
    """Write simulated listeners as a small tree in the layout of ds003020.

    The response of voxel v to a story is ``z(signal + noise)``, z-scored within the story:
    ``signal = h * (z(F) W_v + z(rate) u_v)`` with F the features, rate the words in each
    row's own window, h the haemodynamic response and ``*`` convolution from zeros; noise is
    autoregressive in time and smooth over the cortex. The repeated story holds each
    presentation, and their mean as `data`. What was planted lies under ``truth/``.

    Parameters
    ----------
    folder : Path
        An empty folder, or one that does not exist yet.
    transcripts : mapping of story to Transcript
        Such as `story_transcripts` gives.
    features : mapping of story to float array, shape (time, feature)
        One row per TR of the story, ``story_rows(transcript)`` in all: row ``i`` describes
        the words in ``[10 + 2 i, 12 + 2 i)`` s.
    surface_coordinates : float array, shape (20484, 3)
        fsaverage5 vertices, left hemisphere first, in mm.
    settings : SimulationSettings
    progress : Progress

    Raises
    ------
    InputError
        If the folder is not empty, words overlap, features are missing or of the wrong
        shape, the coordinates are not those of fsaverage5, the repeated story is unknown,
        or a listener has more voxels than the cortex has cells.
    """
    _check_folder(folder)
    _check_stories(transcripts, features, settings.repeated_story)
    cells = cortex_cells(surface_coordinates)
    _check_voxel_counts(settings, len(cells))
    drivers = story_drivers(transcripts, features, n_directions=settings.n_directions)
    _write_shared_files(folder, transcripts, settings)
    profile = signal_profile(
        cells.coordinates, silent_share=settings.silent_share, seed=settings.seed
    )
    total = len(settings.subjects) * len(transcripts)
    for number in range(len(settings.subjects)):
        listener = _listener(number, cells, profile, drivers, settings)
        _write_geometry(folder, listener)
        _write_truth(folder, listener, drivers, settings)
        for done, story in enumerate(sorted(transcripts), start=number * len(transcripts) + 1):
            _write_responses(folder, listener, story, drivers.courses[story], settings)
            progress("simulating", done, total)


def _listener(
    number: int,
    cells: Cells,
    profile: np.ndarray,
    drivers: Drivers,
    settings: SimulationSettings,
) -> _Listener:
    rng = np.random.default_rng((settings.seed, 2, number))
    chosen = np.sort(rng.choice(len(cells), settings.n_voxels[number], replace=False))
    own_cells = cells.at(chosen)
    basis = smooth_basis(own_cells.coordinates, fwhm=settings.smoothness_mm, seed=settings.seed)
    snr = settings.signal[number] * profile[chosen] * (not settings.no_signal)
    shape = (basis.shape[1], drivers.directions.shape[1])
    common = np.random.default_rng((settings.seed, 3)).standard_normal(shape)
    own = rng.standard_normal(shape)
    maps = basis @ (np.sqrt(settings.alike) * common + np.sqrt(1 - settings.alike) * own)
    weights = driver_weights(
        maps.T, drivers.covariance, snr=snr, word_rate_share=settings.word_rate_share
    )
    return _Listener(settings.subjects[number], own_cells, basis, snr, weights)


def _write_responses(
    folder: Path, listener: _Listener, story: str, course: np.ndarray, settings: SimulationSettings
) -> None:
    seeds = (settings.seed, 4, zlib.crc32(listener.name.encode()), zlib.crc32(story.encode()))
    rng = np.random.default_rng(seeds)
    signal = course @ listener.weights
    repeated = story == settings.repeated_story
    presentations = np.stack(
        [
            zscore(
                signal + smooth_noise(listener.basis, len(course), ar=settings.noise_ar, rng=rng)
            )
            for _ in range(settings.n_repeats if repeated else 1)
        ]
    )
    path = _made(folder / "derivative" / "preprocessed_data" / listener.name) / f"{story}.hf5"
    with h5py.File(path, "w") as file:
        file["data"] = presentations.mean(axis=0)
        if repeated:
            file["individual_repeats"] = presentations


def _write_geometry(folder: Path, listener: _Listener) -> None:
    subject = folder / "derivative" / "pycortex-db" / listener.name
    transform = _made(subject / "transforms" / f"{listener.name}_auto")
    image = nibabel.Nifti1Image(listener.cells.mask(), listener.cells.affine())
    nibabel.save(image, transform / "mask_thick.nii.gz")
    np.save(subject / "fsaverage5_vertices.npy", listener.cells.vertices, allow_pickle=False)


def _write_truth(
    folder: Path, listener: _Listener, drivers: Drivers, settings: SimulationSettings
) -> None:
    signal_power = listener.snr / (1 + listener.snr)
    repeated = (drivers.courses[settings.repeated_story] @ listener.weights).var(axis=0)
    np.savez(
        _made(folder / "truth") / f"{listener.name}.npz",
        snr=listener.snr,
        signal_power=signal_power,
        ceiling=np.sqrt(signal_power),
        repeated_signal_power=repeated / (1 + repeated),
        weights=(drivers.directions @ listener.weights[:-1]).astype(np.float32),
        word_rate_weights=listener.weights[-1],
        silent=listener.snr == 0,
    )


def says_simulated(folder: Path) -> bool:
    """Whether a tree of ds003020 says of itself that nobody was measured for it.

    Parameters
    ----------
    folder : Path
        The tree, the folder that holds it as ``ds003020``, or its ``derivative``.
    """
    places = (folder, folder.parent, folder / "ds003020")
    return any((place / NOTICE).is_file() for place in places)


def _write_shared_files(
    folder: Path, transcripts: Mapping[str, Transcript], settings: SimulationSettings
) -> None:
    derivative = _made(folder / "derivative")
    scans = {story: scans_of(transcripts[story]) for story in sorted(transcripts)}
    _write_json(derivative / "respdict.json", scans)
    transforms = {name: f"{name}_auto" for name in settings.subjects}
    _write_json(derivative / "subject_xfms.json", transforms)
    _write_json(_made(folder / "truth") / "settings.json", asdict(settings))
    (folder / NOTICE).write_text(_NOTICE, encoding="utf-8")
    grids = _made(derivative / "TextGrids")
    names = tuple(SERIALISATIONS)
    for i, story in enumerate(sorted(transcripts)):
        content = textgrid_bytes(
            transcripts[story],
            serialisation=names[i % len(names)],
            encoding="utf-16" if i % 4 == 1 else "utf-8",
        )
        (grids / f"{story}.TextGrid").write_bytes(content)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check_folder(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            str(folder),
            got="a file" if not folder.is_dir() else "a folder with files in it",
            wanted="an empty or a new folder",
            do="Choose another place for the simulated data.",
        )


def _check_stories(
    transcripts: Mapping[str, Transcript], features: Mapping[str, np.ndarray], repeated: str
) -> None:
    if repeated not in transcripts:
        raise unknown_name("simulation settings: repeated_story", "story", repeated, transcripts)
    widths = set()
    for story, transcript in transcripts.items():
        _check_name(story)
        _check_times(transcript)
        if story not in features:
            raise unknown_name("features", "story", story, features)
        _check_features(story, features[story], story_rows(transcript))
        widths.add(features[story].shape[1])
    if len(widths) > 1:
        raise InputError(
            "features",
            got=f"{' and '.join(map(str, sorted(widths)))} columns in different stories",
            wanted="as many in every story",
            do="Make the features of all stories with the same settings.",
        )


def _check_name(story: str) -> None:
    if not story or story != Path(story).name:
        wanted = "one without slashes: files are called by it"
        raise InputError("stories", got=f"name {story!r}", wanted=wanted, do="Rename it.")


def _check_times(transcript: Transcript) -> None:
    starts, stops = transcript.onsets, transcript.offsets
    if starts[0] < 0 or (stops <= starts).any() or (starts[1:] < stops[:-1]).any():
        raise InputError(
            f"transcript of story {transcript.story!r}",
            got="words that overlap, take no time or start before the sound",
            wanted="one word after the other, as a TextGrid tier holds them",
            do="Correct the times, or use the packaged stories.",
        )


def _check_features(story: str, values: np.ndarray, n_rows: int) -> None:
    where = f"features of story {story!r}"
    if values.ndim != 2 or values.dtype.kind != "f" or values.shape[0] != n_rows:
        raise InputError(
            where,
            got=f"{values.dtype} array of shape {values.shape}",
            wanted=f"floating-point numbers of shape ({n_rows}, feature)",
            do="Give one row for each TR of the story: story_rows(transcript).",
        )
    if not np.isfinite(values).all() or not np.ptp(values, axis=0).any():
        raise InputError(
            where,
            got="NaN or infinite values, or columns that never change",
            wanted="finite features that vary over the story",
            do="Check how the features were made.",
        )


def _check_voxel_counts(settings: SimulationSettings, n_cells: int) -> None:
    for name, count in zip(settings.subjects, settings.n_voxels, strict=True):
        if count > n_cells:
            raise InputError(
                f"simulation settings: n_voxels of {name}",
                got=str(count),
                wanted=f"at most {n_cells}, the cells of the grid that hold cortex",
                do="Ask for fewer voxels.",
            )
