"""What a study fits, in one digest: by this a confirmation is known again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._config import CONTROLS, NULL_TUNINGS, StudyConfig
from brainaligner.study._controls import with_controls
from brainaligner.study._null_tunings import LENDERS, with_null_tunings
from brainaligner.study._settings import canonical


def plan_digest(config: StudyConfig) -> str:
    """Digest of what a study fits, whatever its parts are called and wherever its data lie.

    It follows from who is read and from the arms, with all that these read. Name, title,
    division, regions, entries that no arm reads, and how scores are judged stay out; so do
    controls and nulls of the tuning, for a study counts as having all of them.
    """
    whole = _with_all_beside(config)
    arms = {json.dumps(_arm(whole, arm), sort_keys=True) for arm in whole.arms.values()}
    facts = json.dumps({"dataset": _dataset(config), "arms": sorted(arms)}, sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def _with_all_beside(config: StudyConfig) -> StudyConfig:
    """The study with each arm that `controls` and `nulls` could add, and nothing unread."""
    read = [name for arm in config.arms.values() for name in arm.features]
    tunings = {config.features[name].tuning for name in read} - {None}
    brains = {config.tunings[name].brain for name in tunings if name is not None}
    of_brains = {config.brains[name].features for name in brains if name is not None}
    simulation = config.dataset.simulation
    features = {*read, *of_brains} | ({simulation.features} if simulation is not None else set())
    kept = replace(
        config,
        features={name: one for name, one in config.features.items() if name in features},
        tunings={name: one for name, one in config.tunings.items() if name in tunings},
        brains={name: one for name, one in config.brains.items() if name in brains},
        controls=CONTROLS,
        nulls=True,
        null_tunings=NULL_TUNINGS,
        published=(),
    )
    return with_null_tunings(with_controls(kept), LENDERS)


def _dataset(config: StudyConfig) -> dict[str, Any]:
    facts: dict[str, Any] = canonical(replace(config.dataset, folder=None, regions=None))
    simulation = config.dataset.simulation
    if simulation is not None:
        facts["simulation"]["features"] = _feature(config, simulation.features)
    return facts


def _arm(config: StudyConfig, arm: ArmConfig) -> dict[str, Any]:
    facts: dict[str, Any] = canonical(replace(arm, reference={}))
    return facts | {"features": [_feature(config, name) for name in arm.features]}


def _feature(config: StudyConfig, name: str) -> dict[str, Any]:
    """An entry of ``features`` with the tuning, the brain and the features that it reads."""
    feature = config.features[name]
    facts: dict[str, Any] = canonical(feature)
    if feature.tuning is None:
        return facts
    tuning = config.tunings[feature.tuning]
    facts["tuning"] = canonical(tuning)
    if tuning.brain is not None:
        brain = config.brains[tuning.brain]
        facts["tuning"]["brain"] = canonical(brain)
        if brain.features is not None:
            facts["tuning"]["brain"]["features"] = _feature(config, brain.features)
    return facts
