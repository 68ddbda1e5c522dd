"""What all tests share."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import jaxtyping
import pytest
import torch
from hypothesis import HealthCheck, settings

ARRAYS = re.compile(r"\b(?:jaxtyping|ndarray|Tensor)\b")


def modules_with_arrays() -> list[str]:
    """Modules of the package that state an array: mypy sees to the plain types of all others."""
    found = find_spec("brainaligner")
    assert found is not None
    assert found.submodule_search_locations is not None
    (root,) = map(Path, found.submodule_search_locations)
    return [
        ".".join(("brainaligner", *path.relative_to(root).with_suffix("").parts))
        for path in sorted(root.rglob("[!_]*/_*.py"))
        if path.name != "__init__.py" and ARRAYS.search(path.read_text(encoding="utf-8"))
    ]


# Dims and types are checked while tests run; on every function of every module this doubled the
# time of the suite.
jaxtyping.install_import_hook(modules_with_arrays(), "beartype.beartype")

# A busy machine draws examples slowly; that is no fault of what is tested.
settings.register_profile("any-speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-speed")

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",  # the cortex in 3-D without a graphics card
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Keep parallel test workers from fighting over the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real recordings; skips, with the reason, where there is none."""
    folder = Path(os.environ.get("BRAINALIGNER_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "lebel2023-pcs" / "words.csv.gz").exists():
        pytest.skip(f"no real recordings under {folder}; set BRAINALIGNER_DATA")
    return folder


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switch annotation checks off, as for a user, so that our own refusal does the work."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless browser of this machine; required where BRAINALIGNER_REQUIRE_BROWSER is 1."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = f"no browser on the path: none of {', '.join(BROWSERS)}"
        if os.environ.get("BRAINALIGNER_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=BROWSER_ARGUMENTS)
        yield opened
        opened.close()
