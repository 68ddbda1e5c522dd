"""Components of three listeners of ds003020, 200 per person, in the own-data format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from brainaligner.core import Clock, InputError
from brainaligner.data._problem import Problem
from brainaligner.data._word_tables import Facts, WordTableDataset

N_COMPONENTS = 200
FACTS = Facts(
    clock=Clock(tr=2.0, first=11.0),
    space="components",
    # ds003020 has ten presentations of the first; the number for the second is not
    # published with the components, and 2 stands for "several".
    repeated={"wheretheressmoke": 10, "fromboyhoodtofatherhood": 2},
)


class Lebel2023Components(WordTableDataset):
    """``lebel2023-pcs``: 200 components of cortical responses per TR, fitted per subject.

    The maps of the components are not available, so no brain map can be drawn. `folder` is
    the dataset or a folder that holds ``lebel2023-pcs/``.
    """

    reader = "lebel2023-pcs"

    def __init__(self, folder: Path) -> None:
        nested = folder / self.reader
        folder = nested if nested.is_dir() else folder
        super().__init__(folder, FACTS)

    def _reader_problems(self) -> Iterator[Problem]:
        yield from super()._reader_problems()
        for subject in self.subjects:
            try:
                size = self.space(subject).size
            except InputError:
                continue
            if size != N_COMPONENTS:
                yield Problem(
                    "warning",
                    f"{self.folder}, subject {subject}",
                    f"{size} components",
                    f"{N_COMPONENTS}",
                    "Check the file; for other data use the reader `folder`.",
                )
