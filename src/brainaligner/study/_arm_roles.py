"""What each arm of a study is, in a few words: a control, a frozen model, a tuned one."""

from __future__ import annotations

from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._arms import tuned_features
from brainaligner.study._config import StudyConfig
from brainaligner.study._listeners import LISTENERS
from brainaligner.study._tuning_config import BRAINLM, BrainConfig

LISTENERS_ROLE = "no model: the other listeners' responses to the same story"
_WITHOUT_BRAIN = {"noise": "tuned on noise", "constant": "tuned on a constant vector"}


def arm_roles(config: StudyConfig) -> dict[str, str]:
    """What each entry of a study's ``arms`` is, and the other-listener reference."""
    roles = {name: arm_role(config, arm) for name, arm in config.arms.items()}
    return {**roles, LISTENERS: LISTENERS_ROLE}


def arm_role(config: StudyConfig, arm: ArmConfig) -> str:
    """What one arm is."""
    if not arm.read:
        return "Z alone: no word's meaning" + (", with word length" * arm.design.word_length)
    beside = ", with Z" if arm.design.nuisance == "with" else ""
    rank = ", reduced rank" if arm.reduced_rank is not None else ""
    return f"{_models(config, arm)}{beside}{rank}"


def _models(config: StudyConfig, arm: ArmConfig) -> str:
    tuned = tuned_features(config, arm)
    if tuned:
        names = dict.fromkeys(config.features[name].tuning for name in tuned)
        said = dict.fromkeys(tuning_role(config, name) for name in names if name is not None)
        return "; ".join(said)
    if all(config.features[name].seed is not None for name in arm.read):
        return "untrained network"
    return "frozen: tuned on nothing"


def tuning_role(config: StudyConfig, name: str) -> str:
    """What a tuning's models learned beside the words."""
    brain = config.tunings[name].brain
    if brain is None:
        return "tuned on text alone"
    return brain_role(config.brains[brain])


def brain_role(brain: BrainConfig) -> str:
    """What a brain encoder gives, true or a control."""
    if brain.kind in _WITHOUT_BRAIN:
        return _WITHOUT_BRAIN[brain.kind]
    if brain.shifted:
        return "tuned on its brain moved in time"
    if brain.subject == "next":
        return "tuned on another listener's brain"
    if brain.kind == BRAINLM:
        weights = "random weights" if brain.random is not None else "its published weights"
        return f"tuned on brain activity (BrainLM with {weights})"
    return f"tuned on brain activity ({brain.kind})"
