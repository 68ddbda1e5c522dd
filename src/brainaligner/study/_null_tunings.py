"""Arms tuned on a brain that can tell nothing of the words: the nulls of the tuning itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from brainaligner.brain import BrainSettings
from brainaligner.evaluation import Finding
from brainaligner.study._arm_config import ArmConfig, FeatureConfig
from brainaligner.study._config import NULL_TUNINGS, StudyConfig
from brainaligner.study._division import AnySplit
from brainaligner.study._tuning_config import BrainConfig, TuningConfig

Entry = TypeVar("Entry")
LENDERS = 2  # subjects, where pairs are looked for as if brains could be lent


@dataclass(frozen=True)
class NullArm:
    """An arm, and the same arm with its language models tuned on a null brain.

    Parameters
    ----------
    arm, null : str
        Entries of the study's ``arms``.
    kind : str
        ``"shifted"``, ``"other-listener"`` or ``"noise"``.
    """

    arm: str
    null: str
    kind: str


def with_null_tunings(config: StudyConfig, n_listeners: int) -> StudyConfig:
    """Add the arms tuned on null brains that a study with ``nulls: true`` does not have yet.

    Each differs from its arm by the brain alone: the same text, steps, seeds and folds. One that
    the study has under whatever name, or with other seeds, will do. A study without tuned arms,
    or with ``nulls: false``, is left as it is.

    Parameters
    ----------
    config : StudyConfig
    n_listeners : int
        Subjects who heard the same stories: with one there is no other listener.
    """
    if not config.nulls:
        return config
    made = config
    for name, arm in config.arms.items():
        for kind in config.null_tunings:
            null = _null_arm(made, arm, kind, n_listeners)
            if null is not None and _arm_of(null[0], null[1]) is None:
                made = _added(null[0], f"{name}-{kind}", null[1])
    return made


def listeners_alike(splits: Mapping[str, AnySplit]) -> int:
    """How many subjects can lend each other their brains: all, or one where stories differ."""
    heard = {frozenset(split.stories) for split in splits.values()}
    return len(splits) if len(heard) == 1 else 1


def null_arms(config: StudyConfig, n_listeners: int) -> tuple[NullArm, ...]:
    """Pairs of a tuned arm and its null that a study has, whoever put them there."""
    return tuple(_pairs(config, n_listeners))


def tuned_on_brains(config: StudyConfig) -> tuple[str, ...]:
    """Arms that read a model tuned on a brain which can know of the words."""
    found = []
    for name, arm in config.arms.items():
        tunings = [config.features[feature].tuning for feature in arm.read]
        brains = [config.tunings[t].brain for t in tunings if t is not None]
        if any(b is not None and not _is_null(config.brains[b]) for b in brains):
            found.append(name)
    return tuple(found)


def _pairs(config: StudyConfig, n_listeners: int) -> Iterator[NullArm]:
    for name, arm in config.arms.items():
        for kind in NULL_BRAINS:
            null = _null_arm(config, arm, kind, n_listeners)
            if null is None:
                continue
            there = _arm_of(config, null[1])
            if there is not None and len(null[0].features) == len(config.features):
                yield NullArm(name, there, kind)


def _null_arm(
    config: StudyConfig, arm: ArmConfig, kind: str, n_listeners: int
) -> tuple[StudyConfig, ArmConfig] | None:
    """The arm with null brains, and the study with what it reads; None where there is none."""
    tunings = [config.features[name].tuning for name in arm.read]
    brains = [config.tunings[t].brain for t in tunings if t is not None]
    if kind == "other-listener" and any(config.tunings[t].subjects != "own" for t in tunings if t):
        return None  # among all listeners each other one has their place already
    wanted = {b: _null_brain(config.brains[b], kind, n_listeners) for b in brains if b is not None}
    if not wanted or None in wanted.values():
        return None
    made, names = config, []
    for name in arm.features:
        made, read = _null_feature(made, name, kind, wanted)
        names.append(read)
    return made, replace(arm, features=tuple(names), reference={})


def _null_feature(
    config: StudyConfig, name: str, kind: str, brains: Mapping[str, BrainConfig | None]
) -> tuple[StudyConfig, str]:
    """The entry that reads a model tuned on the null brain; it is added where it is lacking."""
    feature = config.features[name]
    tuning = None if feature.tuning is None else config.tunings[feature.tuning]
    if tuning is None or tuning.brain is None:
        return config, name
    brain = brains[tuning.brain]
    assert brain is not None
    of_brain = _noise_of(config) if kind == "noise" else None
    all_brains = dict(config.brains)
    if of_brain is None:
        all_brains, of_brain = _found_or_added(config.brains, f"{tuning.brain}-{kind}", brain)
    null: TuningConfig = replace(tuning, brain=of_brain)
    of_tuning, tunings = _tuning_of(config, null), dict(config.tunings)
    if of_tuning is None:
        tunings, of_tuning = _found_or_added(config.tunings, f"{feature.tuning}-{kind}", null)
    read: FeatureConfig = replace(feature, tuning=of_tuning)
    features, found = _found_or_added(config.features, f"{name}-{kind}", read)
    return replace(config, brains=all_brains, tunings=tunings, features=features), found


def _noise_of(config: StudyConfig) -> str | None:
    """An encoder of noise that the study has, whatever its width."""
    encoders = {name: brain.encoder for name, brain in config.brains.items()}
    return next((n for n, one in encoders.items() if one is not None and one.kind == "noise"), None)


def _tuning_of(config: StudyConfig, wanted: TuningConfig) -> str | None:
    """A tuning that is the same, or the same with other seeds."""
    alike = {name: replace(one, seeds=wanted.seeds) for name, one in config.tunings.items()}
    return _name_of(config.tunings, wanted) or _name_of(alike, wanted)


def _arm_of(config: StudyConfig, wanted: ArmConfig) -> str | None:
    """An arm that is the same but for its reference numbers."""
    arms = {name: replace(arm, reference={}) for name, arm in config.arms.items()}
    return _name_of(arms, wanted)


def _found_or_added(
    entries: Mapping[str, Entry], name: str, wanted: Entry
) -> tuple[dict[str, Entry], str]:
    there = _name_of(entries, wanted)
    if there is not None:
        return dict(entries), there
    free = _free_name(entries, name)
    return {**entries, free: wanted}, free


def _name_of(entries: Mapping[str, Entry], wanted: Entry) -> str | None:
    return next((name for name, entry in entries.items() if entry == wanted), None)


def _free_name(entries: Mapping[str, object], name: str) -> str:
    return name if name not in entries else _free_name(entries, f"{name}-null")


def _added(config: StudyConfig, name: str, arm: ArmConfig) -> StudyConfig:
    return replace(config, arms={**config.arms, _free_name(config.arms, name): arm})


def _null_brain(brain: BrainConfig, kind: str, n_listeners: int) -> BrainConfig | None:
    """None where the encoder is a null itself, or there is no other listener."""
    if _is_null(brain) or (kind == "other-listener" and n_listeners < 2):
        return None
    return NULL_BRAINS[kind](brain)


def _is_null(brain: BrainConfig) -> bool:
    without_brain = brain.kind in ("noise", "constant")
    return brain.shifted or without_brain or brain.subject != "own"


def _shifted(brain: BrainConfig) -> BrainConfig:
    """Moved circularly within each story."""
    if brain.brainlm is not None:
        return replace(brain, brainlm=replace(brain.brainlm, shift=True))
    assert brain.encoder is not None
    return replace(brain, encoder=replace(brain.encoder, shift=True))


def _other_listener(brain: BrainConfig) -> BrainConfig:
    return replace(brain, subject="next")


def _noise(brain: BrainConfig) -> BrainConfig:
    """Independent draws, as wide as the encoder's settings say at most."""
    settings = brain.encoder
    width = BrainSettings("noise").width
    if settings is not None and settings.kind in ("pca", "random_projection"):
        width = settings.width
    elif settings is not None and settings.kind != "all":
        width = min(width, settings.k or width)
    return BrainConfig(encoder=BrainSettings("noise", width=width), seed=brain.seed)


NULL_BRAINS = {"shifted": _shifted, "other-listener": _other_listener, "noise": _noise}


def null_findings(config: StudyConfig) -> Iterator[Finding]:
    """Which nulls of the tuning stand beside each arm that is tuned on a brain."""
    pairs = null_arms(config, LENDERS)
    for arm in tuned_on_brains(config):
        there = {pair.kind: pair.null for pair in pairs if pair.arm == arm}
        lacking = [kind for kind in NULL_TUNINGS if kind not in there]
        if lacking:
            shown = ", ".join(f"{kind} ({name})" for kind, name in there.items()) or "none"
            yield Finding("note", arm, _LACKING.format(shown, ", ".join(lacking)))


_LACKING = (
    "of the nulls of its tuning there stand beside it: {}; not: {}. run --nulls adds what can be "
    "added, and run --nulls --plan prices it"
)
