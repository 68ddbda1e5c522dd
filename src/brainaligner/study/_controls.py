"""Models without meaning that every study scores beside its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from brainaligner.study._arm_config import ArmConfig, FeatureConfig
from brainaligner.study._config import StudyConfig

NUISANCE_CONTROLS = {"nuisance-alone": False, "nuisance-word-length": True}
"""Controls of Z alone, and whether word length is in."""


def with_controls(config: StudyConfig) -> StudyConfig:
    """Add the arms of ``controls`` that a study does not have yet, below its own.

    ``nuisance-alone`` is Z by itself, ``nuisance-word-length`` Z with word length, ``untrained``
    the features of the first arm that reads a language model, from networks with weights drawn by
    seed 0. All have that arm's delays, scaling and ridge; where a study has one of the first two
    itself, the other is like it. A study without such an arm is left as it is, and so is one that
    has these controls under whatever name.

    Parameters
    ----------
    config : StudyConfig

    Returns
    -------
    StudyConfig
        The same study where nothing is added.
    """
    first = next((arm for arm in config.arms.values() if arm.read), None)
    if first is None:
        return config
    arms, features = dict(config.arms), dict(config.features)
    for control, with_length in NUISANCE_CONTROLS.items():
        known = [arms[name] for name in arms if arms[name].design.nuisance == "alone"]
        if control in config.controls and with_length not in [z.design.word_length for z in known]:
            like = known[0] if known else first
            design = replace(like.design, nuisance="alone", word_length=with_length)
            plain = replace(like, design=design, reference={}, banded=None, reduced_rank=None)
            arms[_free_name(control, arms)] = plain
    if "untrained" in config.controls and not untrained_arms(config):
        drawn = {_untrained_name(f, first, features): _drawn(config, f) for f in first.features}
        features |= drawn
        name = _free_name("untrained", arms)
        arms[name] = replace(first, features=tuple(drawn), reference={})
    if len(arms) == len(config.arms):
        return config
    return replace(config, arms=arms, features=features)


def untrained_arms(config: StudyConfig) -> tuple[str, ...]:
    """Arms whose language models are all untrained."""
    return tuple(
        name
        for name, arm in config.arms.items()
        if arm.read and all(config.features[feature].seed is not None for feature in arm.read)
    )


def nuisance_arms(config: StudyConfig) -> tuple[str, ...]:
    """Arms of Z alone."""
    return tuple(n for n, arm in config.arms.items() if arm.design.nuisance == "alone")


def _drawn(config: StudyConfig, name: str) -> FeatureConfig:
    feature = config.features[name]
    return replace(feature, tuning=None, untrained=feature.seed or 0)


def _untrained_name(name: str, first: ArmConfig, features: Mapping[str, FeatureConfig]) -> str:
    wanted = "untrained" if len(first.features) == 1 else f"untrained-{name}"
    return _free_name(wanted, features)


def _free_name(name: str, taken: Mapping[str, object]) -> str:
    return name if name not in taken else _free_name(f"{name}-control", taken)
