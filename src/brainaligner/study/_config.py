"""One experiment as data: what a study file may say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from brainaligner.core import InputError, unknown_name
from brainaligner.evaluation import (
    ComparisonSettings,
    EvaluationSettings,
    SignificanceSettings,
)
from brainaligner.study._arm_config import ArmConfig, FeatureConfig
from brainaligner.study._dataset_config import (
    EMBEDDED,
    LONGEST_STUDY_NAME,
    STORE,
    DatasetConfig,
    SplitConfig,
    check_name,
)
from brainaligner.study._listener_config import ListenersConfig
from brainaligner.study._published_config import PublishedConfig
from brainaligner.study._tuning_config import BrainConfig, TuningConfig

ScoredOn = Literal["test", "validation"]
CONTROLS = ("nuisance-alone", "nuisance-word-length", "untrained")
NULL_TUNINGS = ("shifted", "other-listener", "noise")


@dataclass(frozen=True)
class StudyConfig:
    """A whole study file, validated.

    Parameters
    ----------
    name : str
        Names the folder of results.
    dataset : DatasetConfig
    features : mapping of str to FeatureConfig
    arms : mapping of str to ArmConfig
        Rows of the table, in order.
    title : str
    split : SplitConfig
    evaluation : EvaluationSettings
    brains : mapping of str to BrainConfig
    tunings : mapping of str to TuningConfig
    published : tuple of PublishedConfig
        Tables in the layout of the published report.
    controls : tuple of str
        Models without meaning that are scored beside the arms, below them, where the study has
        none of its own: of ``"nuisance-alone"``,
        ``"nuisance-word-length"`` and ``"untrained"``.
    nulls : bool
        Score null features and null responses of every arm as well, and add the arms of
        `null_tunings`.
    null_draws : int
        Draws behind every null mean, at least 2.
    null_tunings : tuple of str
        With `nulls`: brains on which each arm that is tuned on a brain is tuned once more, where
        the study has no such arm: of ``"shifted"`` (in time), ``"other-listener"`` and
        ``"noise"``. Each costs as much as the tuning itself.
    significance : SignificanceSettings, optional
        Test of each target of every arm; None leaves the tests out.
    confirms : str, optional
        Name of the study that this one runs again, on stories that were never scored; set by
        ``run --confirm``.
    other_listeners : ListenersConfig
        The reference from the other subjects' responses, beside every table.
    comparison : ComparisonSettings
        Margin of equivalence, alpha and power of ``brainaligner compare``.
    scored_on : {"test", "validation"}
        ``"validation"`` scores the stories that choose settings, and reads no response to a test
        story; set by ``run --validation``.
    """

    name: str
    dataset: DatasetConfig
    features: Mapping[str, FeatureConfig]
    arms: Mapping[str, ArmConfig]
    title: str = ""
    split: SplitConfig = field(default_factory=SplitConfig)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    brains: Mapping[str, BrainConfig] = field(default_factory=dict)
    tunings: Mapping[str, TuningConfig] = field(default_factory=dict)
    published: tuple[PublishedConfig, ...] = ()
    controls: tuple[str, ...] = CONTROLS
    nulls: bool = False
    null_draws: int = 20
    null_tunings: tuple[str, ...] = NULL_TUNINGS
    significance: SignificanceSettings | None = field(default_factory=SignificanceSettings)
    confirms: str | None = None
    other_listeners: ListenersConfig = field(default_factory=ListenersConfig)
    comparison: ComparisonSettings = field(default_factory=ComparisonSettings)
    scored_on: ScoredOn = "test"

    def __post_init__(self) -> None:
        check_name("name", self.name, longest=LONGEST_STUDY_NAME)
        if self.name.casefold() == STORE:
            raise InputError(
                "name",
                got=repr(self.name),
                wanted="any other name: the folder of this name keeps finished stages",
                do="Choose another name.",
            )
        for kind, entries in (("features", self.features), ("arms", self.arms)):
            if not entries:
                raise InputError(kind, got="none", wanted="at least one", do=f"Add {kind}.")
            for name in entries:
                check_name(f"{kind}.{name}", name)
        for name in self.brains:
            check_name(f"brains.{name}", name)
        for name in self.tunings:
            check_name(f"tunings.{name}", name)
        if self.null_draws < 2:
            raise InputError(
                "null_draws",
                got=str(self.null_draws),
                wanted="2 or more",
                do="Use 20: a mean needs its standard error.",
            )
        known("scored_on", self.scored_on, get_args(ScoredOn))
        for control in self.controls:
            known("controls", control, CONTROLS)
        for kind in self.null_tunings:
            known("null_tunings", kind, NULL_TUNINGS)
        object.__setattr__(self, "features", self._with_models())
        self._check_references()
        self._check_published()
        self._check_cross_fits()

    def _with_models(self) -> dict[str, FeatureConfig]:
        """Features with the model that each entry reads."""
        return {name: self._with_model(name, feature) for name, feature in self.features.items()}

    def _with_model(self, name: str, feature: FeatureConfig) -> FeatureConfig:
        if feature.tuning is None:
            return replace(feature, model=feature.model or EMBEDDED)
        known(f"features.{name}.tuning", feature.tuning, self.tunings)
        model = self.tunings[feature.tuning].model
        if feature.model not in ("", model):
            raise InputError(
                f"features.{name}.model",
                got=repr(feature.model),
                wanted=f"{model!r}, which {feature.tuning!r} tunes",
                do="Leave the model out where a tuning is named.",
            )
        return replace(feature, model=model)

    def _check_references(self) -> None:
        for name, arm in self.arms.items():
            for feature in arm.features:
                known(f"arms.{name}.features", feature, self.features)
                if arm.reduced_rank is not None:
                    self._check_shared(f"arms.{name}.features, with reduced_rank", feature)
        if self.dataset.simulation is not None:
            place, carried = "dataset.simulation.features", self.dataset.simulation.features
            known(place, carried, self.features)
            self._check_plain(place, carried)
        for name, tuning in self.tunings.items():
            if tuning.brain is not None:
                known(f"tunings.{name}.brain", tuning.brain, self.brains)
                self._check_whose(name, tuning)
        for name, brain in self.brains.items():
            if brain.features is not None:
                known(f"brains.{name}.features", brain.features, self.features)
                self._check_plain(f"brains.{name}.features", brain.features)
        for table in self.published:
            for row, arm_name in (*table.rows.items(), *table.with_nuisance.items()):
                known(f"published table {table.table}, row {row}", arm_name, self.arms)

    def _check_whose(self, name: str, tuning: TuningConfig) -> None:
        """The next brain of each other subject is, of one of them, the brain that is left out."""
        assert tuning.brain is not None
        if tuning.subjects != "own" and self.brains[tuning.brain].subject == "next":
            raise InputError(
                f"tunings.{name}.subjects",
                got=f"{tuning.subjects}, and the brain {tuning.brain!r} of the next subject",
                wanted="subjects: own with a brain of the next subject",
                do="Take subject: next out of the brain, or tune a model for each subject (own).",
            )

    def _check_published(self) -> None:
        if self.published and 0 not in self.evaluation.cuts:
            raise InputError(
                "published",
                got=f"evaluation.cuts {list(self.evaluation.cuts)}",
                wanted="0 among them: published tables show whole stories",
                do="Add 0 to evaluation.cuts, or leave the published tables out.",
            )
        for table in self.published:
            for row, arm in (*table.rows.items(), *table.with_nuisance.items()):
                tunings = {self.features[name].tuning for name in self.arms[arm].read} - {None}
                rates = {self.tunings[name].aligner.mask_rate for name in tunings if name}
                if table.table == 2 and rates - {float(row)}:
                    raise InputError(
                        f"published table 2, row {row}",
                        got=f"{arm!r}, tuned at a mask rate of {', '.join(map(str, rates))}",
                        wanted="an arm that is tuned at the rate on whose row it stands",
                        do="Change the row, or the tuning's aligner.mask_rate.",
                    )

    def _check_cross_fits(self) -> None:
        numbers = {tuning.cross_fit for tuning in self.tunings.values()} - {None}
        reduced = {name: arm.reduced_rank for name, arm in self.arms.items()} if numbers else {}
        crossed = {n: one for n, one in reduced.items() if one is not None and one.cross_fit}
        numbers |= {one.cross_fit for one in crossed.values()}
        if len(numbers) > 1:
            raise InputError(
                "tunings, cross_fit"
                + "".join(f"; arms.{n}.reduced_rank.cross_fit" for n in crossed),
                got=" and ".join(map(str, sorted(n for n in numbers if n is not None))) + " folds",
                wanted="one number in a study: all its arms share their folds",
                do="Give all tunings the same cross_fit, or null for the plain protocol.",
            )
        for name, one in crossed.items():
            if one.seed:
                raise InputError(
                    f"arms.{name}.reduced_rank.seed",
                    got=f"{one.seed}, beside tunings of {one.cross_fit} folds",
                    wanted="0: the projection has the folds of the tunings",
                    do="Leave the seed out.",
                )

    def _check_shared(self, place: str, feature: str) -> None:
        """Features that all subjects have in common: one projection serves them all."""
        tuning = self.features[feature].tuning
        if tuning is not None and self.tunings[tuning].subjects != "all":
            raise InputError(
                place,
                got=f"{feature!r}, of a model for each subject",
                wanted="features that all subjects share",
                do="Tune one model for all (tunings: subjects: all), or use a plain ridge.",
            )

    def _check_plain(self, place: str, feature: str) -> None:
        named = self.features[feature]
        if named.tuning is not None or named.seed is not None:
            kind = "a tuned model" if named.tuning is not None else "an untrained network"
            raise InputError(
                place,
                got=f"{feature!r}, features of {kind}",
                wanted="features of a model as it comes",
                do="Name another entry.",
            )


def known(place: str, name: str, entries: Iterable[str]) -> None:
    """Refuse a name that is not an entry, with the nearest one."""
    if name not in entries:
        raise unknown_name(place, "entry", name, entries)
