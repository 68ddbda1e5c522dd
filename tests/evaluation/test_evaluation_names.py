"""The list of public names is sorted, complete and true."""

from __future__ import annotations

from typing import Literal, get_origin

from brainaligner import evaluation


def test_public_names_exist_and_none_is_missing():
    assert len(set(evaluation.__all__)) == len(evaluation.__all__)
    for name in evaluation.__all__:
        value = getattr(evaluation, name)
        assert value.__doc__ or name.isupper() or get_origin(value) is Literal
    visible = {
        name
        for name, value in vars(evaluation).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("brainaligner")
    }
    assert visible <= set(evaluation.__all__)
