"""Which reader reads which dataset."""

from __future__ import annotations

from pathlib import Path

from brainaligner.core import InputError, unknown_name
from brainaligner.data._alice2016 import Alice2016
from brainaligner.data._components import Lebel2023Components
from brainaligner.data._dataset import Dataset
from brainaligner.data._folder import FolderDataset
from brainaligner.data._lebel2023 import Lebel2023


def open_dataset(reader: str, folder: Path) -> Dataset:
    """Open a dataset; names and sizes are read, nothing else.

    Parameters
    ----------
    reader : {"lebel2023", "lebel2023-pcs", "alice2016", "folder"}
    folder : Path

    Raises
    ------
    InputError
        For an unknown reader (the nearest is given), a missing folder or a wrong layout.
    """
    if reader not in READERS:
        raise unknown_name("reader", "reader", reader, READERS)
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(
            str(folder),
            got="a file" if folder.exists() else "no such folder",
            wanted=f"the folder of a {reader} dataset",
            do="Check the path.",
        )
    return READERS[reader](folder)


READERS: dict[str, type[Lebel2023 | Lebel2023Components | Alice2016 | FolderDataset]] = {
    kind.reader: kind for kind in (Lebel2023, Lebel2023Components, Alice2016, FolderDataset)
}
