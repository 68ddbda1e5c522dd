"""Studies that are laid out and not run: what their keys follow from, and what they will need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from study_trees import save_study
from tuning_trees import save_listeners, tuned_study, tuning

from brainaligner.study import RunOptions, Store, load_study
from brainaligner.study._lay_out import lay_out_study
from brainaligner.study._plan import Plan


def laid_out(folder: Path, study: dict[str, Any]) -> tuple[Plan, Store]:
    """Lay out a study with its store in a folder."""
    config = load_study(str(save_study(folder / "study.yaml", study)))
    return lay_out_study(config, RunOptions(folder / "out"))


def brain_keys(plan: Plan) -> dict[str, str]:
    """Keys of the brain vectors by entry of ``brains``."""
    return {brain.name: brain.recipe.key for t in plan.tunings.values() for brain in t.brains}


def test_vectors_of_brainlm_follow_from_the_spacing_of_rows_where_they_are_resampled(
    checkpoint: Path, tmp_path: Path
) -> None:
    data = save_listeners(tmp_path / "data", ("UTS01",))
    brains = {"resampled": "brainlm", "as-is": "brainlm", "all": "all"}
    tunings = {name: tuning(checkpoint, brain) for name, brain in brains.items()}
    study = tuned_study(checkpoint, data, tunings)
    own = study["brains"]["brainlm"]
    study["brains"]["as-is"] = own | {"brainlm": {"hop": 16, "target_tr": None}}
    study["tunings"]["as-is"]["brain"] = "as-is"
    plan, _ = laid_out(tmp_path, study)
    brains = [brain for t in plan.tunings.values() for brain in t.brains]
    assert all("tr" not in brain.recipe.settings for brain in brains)  # of stores made before
    facts = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    (data / "dataset.json").write_text(json.dumps(facts | {"tr": 1.8}), encoding="utf-8")
    before, after = brain_keys(plan), brain_keys(laid_out(tmp_path, study)[0])
    assert {name for name in before if before[name] != after[name]} == {"brainlm"}
