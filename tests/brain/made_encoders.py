"""Every kind with settings that suit the small recordings."""

from __future__ import annotations

from made_recordings import N_TARGETS, made_material

from brainaligner.brain import BrainSettings, brain_vectors
from brainaligner.brain._settings import FIELDS

SMALL = {
    "high_ev": {"k": 5},
    "encoding_selection": {"k": 5, "n_permutations": 100, "n_folds": 3},
    "split_half_reliability": {"k": 5},
    "all": {},
    "pca": {"width": 4},
    "random_projection": {"width": 7},
    "noise": {"width": 3},
    "constant": {},
}
WIDTHS = dict(zip(SMALL, (5, 5, 5, N_TARGETS, 4, 7, 3, 1), strict=True))
KINDS = sorted(SMALL)
STANDARDISING = [kind for kind in KINDS if "standardise" in FIELDS[kind]]


def encode(kind, material=None, *, seed=1, options=None, **more):
    chosen = BrainSettings(kind, **(SMALL[kind] | more))
    material = made_material() if material is None else material
    return brain_vectors(material, settings=chosen, seed=seed, options=options)
