"""Small recordings with a planted truth, as encoders read them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from brainaligner.brain import BrainMaterial

TRAINING = tuple(f"story{i}" for i in range(9))
VALIDATION = ("valid0", "valid1")
REPEATED = "again"
N_TARGETS = 24
DRIVEN = np.arange(0, 24, 3)  # targets that follow the words
RELIABLE = np.arange(1, 24, 3)  # targets that repeat, with nothing to do with the words


@dataclass(frozen=True)
class MadeRecording:
    """Responses in memory; writes down which stories were asked for."""

    matrices: dict[str, np.ndarray]
    presentations: dict[str, np.ndarray] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    widest: list[int] = field(default_factory=lambda: [0])
    kind: str = "voxels"

    @property
    def n_targets(self):
        return next(iter(self.matrices.values())).shape[1]

    def rows(self, story):
        return len(self.matrices[story])

    def responses(self, story, targets):
        self.asked.add(story)
        values = self.matrices[story][:, targets]
        self.widest[0] = max(self.widest[0], values.shape[1])
        return values

    def repeats(self, story, targets):
        self.asked.add(story)
        found = self.presentations.get(story)
        return None if found is None else found[:, :, targets]


class StrictRecording(MadeRecording):
    """Raises when a story outside the allowed ones is asked for."""

    allowed = frozenset(TRAINING)

    def responses(self, story, targets):
        if story not in self.allowed:
            raise AssertionError(f"{story} was read")
        return super().responses(story, targets)

    def repeats(self, story, targets):
        raise AssertionError(f"repeats of {story} were read")


@dataclass(frozen=True)
class MadeDesigns:
    matrices: dict[str, np.ndarray]

    def design(self, story):
        return self.matrices[story]


def made_designs(rng, lengths, n_features=6):
    return {s: rng.standard_normal((n, n_features)).astype(np.float32) for s, n in lengths.items()}


def made_arrays(seed=0, gain=0.6):
    """Designs, responses (10 + noise, driven targets follow the designs), and repeats."""
    rng = np.random.default_rng(seed)
    names = (*TRAINING, *VALIDATION, REPEATED)
    lengths = {story: 70 + 7 * i for i, story in enumerate(names)}
    designs = made_designs(rng, lengths)
    weights = np.zeros((6, N_TARGETS))
    weights[:, DRIVEN] = gain * rng.standard_normal((6, DRIVEN.size))
    scale = np.linspace(1, 5, N_TARGETS)
    responses = {}
    for story, design in designs.items():
        noise = rng.standard_normal((len(design), N_TARGETS))
        responses[story] = (10 + scale * (design @ weights + noise)).astype(np.float32)
    n_rows = lengths[REPEATED]
    signal = np.zeros((n_rows, N_TARGETS))
    signal[:, RELIABLE] = rng.standard_normal((n_rows, RELIABLE.size))
    repeats = (signal + rng.standard_normal((5, n_rows, N_TARGETS))).astype(np.float32)
    return designs, responses, repeats


def made_material(seed=0, *, gain=0.6, recording=MadeRecording, **changes):
    designs, responses, repeats = made_arrays(seed, gain)
    parts = {
        "subject": "one",
        "recording": recording(responses, {REPEATED: repeats}),
        "fitted_on": TRAINING,
        "given": TRAINING + VALIDATION,
        "repeated": (REPEATED,),
        "designs": MadeDesigns(designs),
    }
    return BrainMaterial(**(parts | changes))
