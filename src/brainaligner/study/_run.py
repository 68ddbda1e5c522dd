"""Running a study: everything is checked, then stage after stage is made or found."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from brainaligner.core import InputError
from brainaligner.study._config import SIMULATED, StudyConfig
from brainaligner.study._designs import ArmDesign
from brainaligner.study._features import ensure_features, feature_recipe
from brainaligner.study._files import load_study
from brainaligner.study._options import RunOptions
from brainaligner.study._outputs import Fitted, write_outputs
from brainaligner.study._prepare import (
    Prepared,
    data_folder,
    model_infos,
    open_study_dataset,
    prepare,
)
from brainaligner.study._progress import Reporter, reporting
from brainaligner.study._readout import Readout, ReadoutTask, ensure_readout
from brainaligner.study._scoring import ArmScores, ensure_scores
from brainaligner.study._simulation import ensure_simulation
from brainaligner.study._store import Store, check_free_space, writing_to
from brainaligner.text import ModelInfo


def run_study(config: StudyConfig, options: RunOptions) -> Path:
    """Run a study to its table and page.

    Finished stages are found in the store and not made again, so a run that was killed goes
    on, and a changed setting recomputes only what depends on it.

    Parameters
    ----------
    config : StudyConfig
    options : RunOptions

    Returns
    -------
    Path
        Folder with report.html, table.tsv, scores.npz, study.yaml, run.json and log.txt.

    Raises
    ------
    InputError
        For whatever can be refused, before any work.
    """
    options.activate()
    infos = model_infos(config)
    simulated = config.dataset.reader == SIMULATED
    prepared = (
        None if simulated else _prepared(config, data_folder(config, options.data), infos, options)
    )
    folder = options.out / config.name
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    store = Store(options.out / "store").open()
    with reporting(folder / "log.txt") as reporter:
        reporter.line(f"study {config.name}")
        if prepared is None:
            tree = ensure_simulation(config, infos, store=store, options=options, reporter=reporter)
            prepared = _prepared(config, tree, infos, options)
        fitted = _fit_all(prepared, store, options, reporter)
        write_outputs(prepared, fitted, store=store, folder=folder)
        reporter.line(f"results: {folder}")
    return folder


def _prepared(
    config: StudyConfig, data: Path, infos: Mapping[str, ModelInfo], options: RunOptions
) -> Prepared:
    prepared = prepare(config, open_study_dataset(config, data), infos)
    check_free_space(options.out, _bytes_needed(prepared))
    return prepared


def write_simulation(study: str, overrides: Sequence[str], folder: Path) -> None:
    """Write the simulated tree of a study into a new folder.

    Raises
    ------
    InputError
        If the folder exists and is not empty, or the study simulates nothing.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            str(folder),
            got="something that is already there",
            wanted="a new or empty folder",
            do="Choose another folder.",
        )
    config = load_study(study, overrides=overrides)
    infos = model_infos(config)
    with writing_to(folder), reporting() as reporter:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / ".making"
        store = Store(scratch).open()
        options = RunOptions(scratch)
        tree = ensure_simulation(config, infos, store=store, options=options, reporter=reporter)
        for entry in sorted(tree.iterdir()):
            entry.rename(folder / entry.name)
        shutil.rmtree(scratch)


def _fit_all(prepared: Prepared, store: Store, options: RunOptions, reporter: Reporter) -> Fitted:
    config, stimuli = prepared.config, prepared.stimuli
    used = {name for arm in config.arms.values() for name in arm.features}
    features = {name: feature for name, feature in config.features.items() if name in used}
    folders = ensure_features(
        features, prepared.infos, stimuli, store=store, options=options, reporter=reporter
    )
    keys = {
        name: feature_recipe(feature, prepared.infos[feature.model], stimuli).key
        for name, feature in features.items()
    }
    digests = _response_digests(prepared, reporter)
    fitted: dict[tuple[str, str], tuple[Sequence[Readout], ArmScores]] = {}
    for arm, design in _arm_designs(prepared, folders):
        inputs = {f"features/{i}": keys[name] for i, name in enumerate(design.arm.features)}
        for subject, split in prepared.splits.items():
            tasks = [
                ReadoutTask(prepared, design, subject, fold, digests[subject], inputs)
                for fold in split.folds
            ]
            readouts = [
                ensure_readout(task, store=store, options=options, reporter=reporter)
                for task in tasks
            ]
            scores = ensure_scores(prepared, arm, subject, digests[subject], readouts, store=store)
            fitted[arm, subject] = (readouts, scores)
            reporter.line(f"{arm}, {subject}: {_first_mean(scores)}")
    return fitted


def _arm_designs(
    prepared: Prepared, folders: Mapping[str, Path]
) -> Iterator[tuple[str, ArmDesign]]:
    for name, arm in prepared.config.arms.items():
        used = tuple(folders[feature] for feature in arm.features)
        shift = prepared.config.features[arm.features[0]].text.shift
        yield name, ArmDesign(arm, used, prepared.stimuli, shift)


def _response_digests(prepared: Prepared, reporter: Reporter) -> dict[str, dict[str, str]]:
    digests: dict[str, dict[str, str]] = {}
    total = sum(len(split.stories) for split in prepared.splits.values())
    done = 0
    for subject, split in prepared.splits.items():
        digests[subject] = {}
        for story in split.stories:
            digests[subject][story] = prepared.dataset.responses_digest(subject, story)
            done += 1
            reporter("reading responses", done, total)
    return digests


def _first_mean(scores: ArmScores) -> str:
    return "; ".join(
        f"{summary.group} mean r {summary.mean:.4f}"
        for _, summary in scores.results
        if summary.rows_cut == scores.results[0][1].rows_cut
    )


def _bytes_needed(prepared: Prepared) -> int:
    """Features, predictions and decompositions of all arms, were none of them there yet."""
    config, rows = prepared.config, prepared.stimuli.rows
    widths = {name: prepared.infos[f.model].width for name, f in config.features.items()}
    features = sum(rows.values()) * 4 * sum(widths.values())
    readouts = 0
    for arm in config.arms.values():
        columns = sum(widths[name] for name in arm.features) * len(arm.design.delays) + 16
        readouts += 8 * columns * columns
        for subject, groups in prepared.groups.items():
            tested = sum(rows[story] for group in groups for story in group.stories)
            readouts += 4 * tested * prepared.dataset.space(subject).size
    return features + readouts
