"""What holds for every room: one list of public names, and light numerical rooms."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types

import pytest

ROOMS = ("core", "data", "text", "encoding", "evaluation", "report", "study", "aligner")
HEAVY = ("sklearn", "himalaya", "scipy", "transformers", "accelerate", "peft", "nibabel",
         "nilearn", "matplotlib", "pydantic", "typer", "rich", "yaml", "requests")  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_the_public_list_of_a_room_is_what_it_offers(room: str) -> None:
    module = importlib.import_module(f"brainaligner.{room}")
    offered = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    lazy = {name for name in module.__all__ if name not in vars(module)}
    not_names = {"TYPE_CHECKING", "Any", "annotations", "import_module"}  # tools of lazy rooms
    assert set(module.__all__) - lazy == offered - not_names - lazy
    assert all(hasattr(module, name) for name in module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("room", ["core", "encoding", "text", "aligner"])
def test_numerical_rooms_import_with_torch_and_numpy_alone(room: str) -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r}));"
        f"import brainaligner.{room} as room; print(len(room.__all__))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
