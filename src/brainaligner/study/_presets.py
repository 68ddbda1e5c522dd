"""The packaged studies: their names and texts, without anything that reads them."""

from __future__ import annotations

from importlib import resources

from brainaligner.core import unknown_name


def preset_names() -> tuple[str, ...]:
    """Names of the packaged studies, sorted."""
    folder = resources.files(__package__) / "presets"
    return tuple(
        sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))
    )


def preset_text(name: str) -> str:
    """The YAML of a packaged study."""
    if name not in preset_names():
        raise unknown_name("study", "packaged study", name, preset_names())
    return (resources.files(__package__) / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
