"""Arms as they are run: one for each seed of the tuning that they read."""

from __future__ import annotations

from dataclasses import dataclass

from brainaligner.core import InputError
from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._config import StudyConfig


@dataclass(frozen=True)
class ArmRun:
    """One arm with one seed: what is fitted, scored and shown on a line of its own.

    Parameters
    ----------
    name : str
        The arm's; ``"<arm>.s<seed>"`` where its tuning has several seeds.
    entry : str
        Of the study's ``arms``.
    arm : ArmConfig
    seed : int, optional
        Of its tuning; None where nothing is tuned.
    """

    name: str
    entry: str
    arm: ArmConfig
    seed: int | None = None


def arm_runs(config: StudyConfig) -> tuple[ArmRun, ...]:
    """Arms of a study in order, each with all its seeds.

    Raises
    ------
    InputError
        If an arm reads tunings with different seeds, or two names become the same.
    """
    runs = tuple(
        ArmRun(name if len(seeds) == 1 else f"{name}.s{seed}", name, arm, seed)
        for name, arm in config.arms.items()
        for seeds in [_seeds(config, name, arm)]
        for seed in seeds
    )
    names = [run.name for run in runs]
    for run in runs:
        if names.count(run.name) > 1:
            raise InputError(
                f"arms.{run.entry}",
                got=f"{run.name!r} twice: an arm, and a seed of another",
                wanted="names that stay different when '.s<seed>' is added",
                do="Rename one of the arms.",
            )
    return runs


def tuned_features(config: StudyConfig, arm: ArmConfig) -> tuple[str, ...]:
    """Entries among the arm's features that come from a tuned model."""
    return tuple(name for name in arm.read if config.features[name].tuning is not None)


def _seeds(config: StudyConfig, name: str, arm: ArmConfig) -> tuple[int | None, ...]:
    tunings = [config.features[feature].tuning for feature in tuned_features(config, arm)]
    lists = {config.tunings[tuning].seeds for tuning in tunings if tuning is not None}
    if len(lists) > 1:
        raise InputError(
            f"arms.{name}.features",
            got=" and ".join(str(list(seeds)) for seeds in sorted(lists)),
            wanted="tunings with the same seeds in one arm",
            do="Give these tunings the same seeds, or read them in arms of their own.",
        )
    return lists.pop() if lists else (None,)
