"""The list of public names is sorted, complete and true."""

from __future__ import annotations

from brainaligner import core


def test_public_names_exist_and_none_is_missing():
    assert len(set(core.__all__)) == len(core.__all__)
    assert all(hasattr(core, name) for name in core.__all__)
    visible = {
        name
        for name, value in vars(core).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("brainaligner")
    }
    assert visible <= set(core.__all__)
