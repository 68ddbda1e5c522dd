"""Settings refuse what is out of range, and what their kind does not read."""

from __future__ import annotations

import pytest
from made_encoders import KINDS

from brainaligner.brain import BrainSettings, EncoderOptions
from brainaligner.brain._settings import FIELDS
from brainaligner.core import InputError
from brainaligner.encoding import RidgeSettings

SETTINGS = {
    "k": (0, -3, 2.5, True, None),
    "share": (0.0, 1.0, -0.1, float("nan")),
    "standardise": ("storey",),
    "ridge": (RidgeSettings(), "ridge"),
    "n_folds": (1, 2.0),
    "fdr": (0.0, 1.0, "5 %"),
    "n_permutations": (19, 100.0),
    "width": (0, 1.5),
    "shift": (1, "yes"),
    "min_shift": (0, 50),
}
FAULTS = [
    (kind, name, value)
    for kind in KINDS
    for name in FIELDS[kind]
    for value in SETTINGS[name]
    if not (value is None and kind == "encoding_selection")
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("kind", "name", "value"), FAULTS)
def test_values_out_of_range_are_refused(kind, name, value):
    with pytest.raises(InputError, match=name.split(".")[0]):
        BrainSettings(kind, **{name: value})


GOOD = {"k": 3, "share": 0.4, "standardise": "none", "n_folds": 4, "fdr": 0.01, "width": 9,
        "n_permutations": 50, "shift": True, "min_shift": 41,
        "ridge": RidgeSettings(alphas=(3.0,))}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name"), [(k, name) for k in KINDS for name in GOOD if name not in FIELDS[k]]
)
def test_fields_that_the_kind_does_not_read_are_refused(kind, name):
    with pytest.raises(InputError, match=f"{kind}.* does not read it"):
        BrainSettings(kind, **{name: GOOD[name]})


def test_settings_that_contradict_each_other():
    with pytest.raises(InputError, match="Did you mean 'high_ev'"):
        BrainSettings("higher_ev")
    with pytest.raises(InputError, match="there is no limit"):
        BrainSettings("encoding_selection", k=None, share=0.2)
    with pytest.raises(InputError, match="shift is false"):
        BrainSettings("all", min_shift=50)
    assert BrainSettings("pca", shift=True, min_shift=50).min_shift == 50


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("change", [{"target_block": 0}, {"keep_bytes": -1}, {"target_block": 1.5}])
def test_options_out_of_range_are_refused(change):
    with pytest.raises(InputError, match="encoder options"):
        EncoderOptions(**change)
