"""What a study file may say about responses and their division into stories."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from brainaligner.core import InputError, unknown_name
from brainaligner.data import READERS, SimulationSettings
from brainaligner.study._region_files import RegionsConfig

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SIMULATED = "simulated"
STORE = "store"
EMBEDDED = "embedded"
LONGEST_STUDY_NAME = 200
_GAP = 10


def check_name(where: str, name: str, *, longest: int | None = None) -> None:
    """Refuse a name that could not safely name a folder."""
    if longest is not None and len(name) > longest:
        raise InputError(
            where,
            got=f"{name[:40]!r}... of {len(name)} letters",
            wanted=f"at most {longest}: file systems allow 255 with all that is added",
            do="Choose a shorter name; a sweep adds its values to the study's.",
        )
    if not _SAFE_NAME.fullmatch(name):
        raise InputError(
            where,
            got=f"{name!r}",
            wanted="letters, digits, '.', '_' and '-', no space or slash, a letter or digit first",
            do="Choose another name: results are kept under this name.",
        )


@dataclass(frozen=True)
class SimulationConfig:
    """A simulated dataset that carries features of a language model.

    Parameters
    ----------
    features : str
        Entry of the study's ``features`` whose states drive the simulated responses.
    tree : SimulationSettings
        Listeners, voxels, noise and seed.
    anatomy : bool
        Whether the tree also holds surfaces, transforms and FreeSurfer files.
    """

    features: str
    tree: SimulationSettings = field(default_factory=SimulationSettings)
    anatomy: bool = False


@dataclass(frozen=True)
class DatasetConfig:
    """Which responses, of whom.

    Parameters
    ----------
    reader : str
        A reader of `brainaligner.data`, or ``"simulated"``.
    folder : str, optional
        Where the data lie. ``--data`` goes before it; the environment variable
        ``BRAINALIGNER_DATA`` is asked last.
    subjects : tuple of str, optional
        Default: all that the dataset has.
    simulation : SimulationConfig, optional
        For ``reader: simulated``, and only there.
    regions : RegionsConfig, optional
        Regions of interest, scored beside all targets together.
    """

    reader: str
    folder: str | None = None
    subjects: tuple[str, ...] | None = None
    simulation: SimulationConfig | None = None
    regions: RegionsConfig | None = None

    def __post_init__(self) -> None:
        if self.reader not in (*READERS, SIMULATED):
            raise unknown_name("dataset.reader", "reader", self.reader, (*READERS, SIMULATED))
        if (self.reader == SIMULATED) != (self.simulation is not None):
            raise InputError(
                "dataset",
                got=f"reader {self.reader!r} with simulation: "
                f"{'given' if self.simulation else 'missing'}",
                wanted="a 'simulation' section exactly where reader is 'simulated'",
                do="Add or remove the section.",
            )
        if self.simulation is not None and self.regions is not None:
            raise InputError(
                "dataset",
                got="regions of responses that are simulated on the way",
                wanted="a tree that has label files already",
                do="Write one with 'brainaligner data simulate FOLDER --anatomy', and read it "
                "with reader lebel2023.",
            )
        if self.subjects is not None and len(set(self.subjects)) != max(len(self.subjects), 1):
            raise InputError(
                "dataset.subjects",
                got=", ".join(self.subjects) or "none",
                wanted="each subject once, at least one",
                do="Correct the list.",
            )


@dataclass(frozen=True)
class SplitConfig:
    """How stories are divided: one of four ways.

    Parameters
    ----------
    counts : (train, validation, test), optional
        Drawn at random by `seed`; taken as proportions where the stories do not add up.
        ``[60, 8, 16]`` where nothing is said.
    seed : int
        Beside `file` or names it draws the stories of ``run --confirm`` alone; not with `folds`.
    file : str, optional
        JSON file with the lists below, beside the data or an absolute path.
    train, validation, test, test_repeated : tuple of str, optional
        Stories by name.
    folds : int, optional
        Contiguous parts of the one story of a dataset, tested in turn.
    gap : int
        With `folds`: rows dropped at each border between two parts of different use.
    """

    counts: tuple[int, int, int] | None = None
    seed: int = 0
    file: str | None = None
    train: tuple[str, ...] | None = None
    validation: tuple[str, ...] | None = None
    test: tuple[str, ...] | None = None
    test_repeated: tuple[str, ...] = ()
    folds: int | None = None
    gap: int = _GAP

    def __post_init__(self) -> None:
        ways = {
            "counts": self.counts is not None,
            "file": self.file is not None,
            "names (train, validation, test)": self.named,
            "folds": self.folds is not None,
        }
        self._check_numbers()
        used = [way for way, is_used in ways.items() if is_used]
        if len(used) > 1:
            raise InputError(
                "split",
                got=" and ".join(used),
                wanted="one way to divide the stories",
                do="Keep one of counts, file, names or folds.",
            )
        if self.named and None in (self.train, self.validation, self.test):
            raise InputError(
                "split",
                got="some of train, validation and test",
                wanted="all three lists",
                do="Name the stories of each side.",
            )
        if self.gap != _GAP and self.folds is None:
            raise self.unread("gap")
        if self.seed != 0 and self.folds is not None:
            raise self.unread("seed")

    @property
    def way(self) -> str:
        """Which of the four it is."""
        if self.folds is not None:
            return "folds"
        return "file" if self.file is not None else "names" if self.named else "counts"

    def divides_by(self, name: str) -> bool:
        """Whether `seed` or `gap` decides how the stories of this study are divided."""
        return self.way == {"seed": "counts", "gap": "folds"}[name]

    def unread(self, name: str) -> InputError:
        """The refusal of a `seed` or `gap` that does not."""
        confirms = name == "seed" and self.way != "folds"
        return InputError(
            f"split.{name}",
            got=f"{getattr(self, name)}, where stories are divided by {self.way}",
            wanted="split.seed with split.counts, by which stories are drawn"
            if name == "seed"
            else "split.gap with split.folds, between whose parts rows are dropped",
            do="Set it in the study file alone: it draws the stories of run --confirm, no others."
            if confirms
            else "Leave it out: it would change nothing.",
        )

    def _check_numbers(self) -> None:
        for name, least in {"seed": 0, "gap": 0, "folds": 3}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(
                    f"split.{name}",
                    got=str(value),
                    wanted=f"{least} or more",
                    do="Correct this number.",
                )

    @property
    def named(self) -> bool:
        """Whether the sides are lists of names."""
        sides = (self.train, self.validation, self.test, self.test_repeated or None)
        return any(side is not None for side in sides)
