"""Stage ``brain``: responses of one subject -> brain vectors for the aligner, with provenance."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from brainaligner.brain import (
    BrainMaterial,
    BrainVectors,
    EncoderOptions,
    Provenance,
    borrow,
    brain_vectors,
    encode_brainlm,
    load_brainlm,
    random_brainlm,
)
from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._brain_task import BrainTask, DesignsOfStories, random_recipe
from brainaligner.study._designs import ArmDesign
from brainaligner.study._disk import read_json, read_npz, reading_artifact, write_json, write_npz
from brainaligner.study._features import ensure_features
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter
from brainaligner.study._store import Store
from brainaligner.study._tuning_config import BrainConfig
from brainaligner.study._witness import WitnessBook


def ensure_brain(
    task: BrainTask, *, store: Store, options: RunOptions, reporter: Reporter
) -> BrainVectors:
    """Encode where that has not been done yet, and read the vectors."""
    if not store.has(task.recipe) and task.features is not None:
        stimuli = task.prepared.division.stimuli
        ensure_features([task.features], stimuli, store=store, options=options, reporter=reporter)
    folder = store.ensure(task.recipe, lambda target: _encode(target, task, options, reporter))
    facts = read_json(folder / "provenance.json")
    with reading_artifact(folder / "provenance.json"):
        facts |= {name: tuple(facts[name]) for name in ("fitted_on", "chosen_on")}
        columns = facts["columns"]
        provenance = Provenance(**facts | {"columns": None if columns is None else tuple(columns)})
    return BrainVectors(read_npz(folder / "vectors.npz"), provenance)


def _encode(folder: Path, task: BrainTask, options: RunOptions, reporter: Reporter) -> None:
    witness = WitnessBook(task.recording.n_targets)
    vectors = _vectors(task, options, reporter, witness)
    witness.save(folder)
    if task.borrowed_rows is not None:
        vectors = borrow(vectors, task.borrowed_rows, task.subject)
    write_npz(folder / "vectors.npz", vectors.rows)
    write_json(folder / "provenance.json", asdict(vectors.provenance))
    place = f"{task.name}, {task.subject}{task.division.place}"
    reporter.line(f"brain {place}: {provenance_words(vectors.provenance)}")


def _vectors(
    task: BrainTask, options: RunOptions, reporter: Reporter, witness: WitnessBook
) -> BrainVectors:
    material, config = brain_material(task), task.config
    if config.encoder is not None:
        return brain_vectors(
            material,
            settings=config.encoder,
            seed=config.seed,
            options=EncoderOptions(device=options.ridge_device),
            progress=reporter,
            witness=witness,
        )
    assert config.brainlm is not None
    assert task.parcels is not None
    return encode_brainlm(
        material,
        checkpoint=load_brainlm(checkpoint_folder(task), device=options.device),
        coordinates=task.parcels.coordinates,
        tr=task.prepared.dataset.clock.tr,
        settings=config.brainlm,
        seed=config.seed,
        progress=reporter,
        witness=witness,
    )


def checkpoint_folder(task: BrainTask) -> Path:
    """Folder of the weights; random ones are drawn where they do not exist yet."""
    if task.config.random is None:
        assert task.config.checkpoint is not None
        return Path(task.config.checkpoint).expanduser()
    return task.store.ensure(random_recipe(task.config), lambda to: _draw_weights(to, task.config))


def _draw_weights(folder: Path, config: BrainConfig) -> None:
    from safetensors.torch import save_file

    assert config.random is not None
    fields, state = random_brainlm(config.random, seed=config.seed)
    write_json(folder / "config.json", fields)
    save_file(state, folder / "model.safetensors")


def brain_material(task: BrainTask) -> BrainMaterial:
    """All that the encoder of a task may look at."""
    designs = None
    if task.features is not None:
        assert task.config.features is not None
        feature = task.prepared.config.features[task.config.features]
        arm = ArmConfig((task.config.features,), task.config.design)
        stimuli = task.prepared.division.stimuli
        made = ArmDesign(arm, (task.features,), stimuli, feature.text.shift)
        designs = DesignsOfStories(made, task.recording)
    return BrainMaterial(
        subject=task.source,
        recording=task.recording,
        fitted_on=task.division.train,
        given=task.division.stories,
        repeated=task.repeated,
        designs=designs,
        parcels=task.series,
    )


def provenance_words(provenance: Provenance) -> str:
    """Where brain vectors come from, in a line."""
    chosen = ", ".join(provenance.chosen_on[:3]) + (" ..." if len(provenance.chosen_on) > 3 else "")
    facts = ", ".join(f"{name} {value}" for name, value in provenance.facts.items())
    return (
        f"{provenance.encoder} of {provenance.subject}, fitted on {len(provenance.fitted_on)} "
        f"stories, chosen on {len(provenance.chosen_on)} ({chosen or 'none'}); {facts}"
    )
