"""What all tests share."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import jaxtyping
import pytest
import torch
from array_checks import check_arrays
from bare_figures import bare_figures
from hypothesis import HealthCheck, settings

check_arrays("brainaligner")  # before anything imports it

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


RUN_STUDIES = {"documents", "gallery", "study"}  # folders of tests


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Leave figures undrawn while whole studies run, but for tests marked ``drawn``."""
    bare = item.path.parent.name in RUN_STUDIES and item.get_closest_marker("drawn") is None
    with bare_figures() if bare else contextlib.nullcontext():
        return (yield)


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
