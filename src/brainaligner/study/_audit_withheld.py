"""Whether a study on validation stories read any response to a test story."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from brainaligner.evaluation import Fault
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_lineage import StoredRecipes
from brainaligner.study._audit_witness import Found
from brainaligner.study._plan import Plan

_CHOSE = "; validation stories chose settings and are scored"
_UNREAD = "no response to a test story was read: the dataset refuses them, and no recipe names one"


def proven_texts(plan: Plan, texts: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """What an audit without faults proves of a plan: of validation stories it is less, and more."""
    if plan.prepared.config.scored_on == "test":
        return dict(texts)
    return {proven_text(plan, text): found for text, found in texts.items()} | {
        _UNREAD: {"lineage"}
    }


def proven_text(plan: Plan, text: str) -> str:
    """What is proven of a plan, in words: validation stories did choose."""
    if plan.prepared.config.scored_on == "test" or "fitted or chosen on" not in text:
        return text
    return text.replace("fitted or chosen on", "fitted on") + _CHOSE


def withheld_faults(arms: Sequence[ArmAudit], stored: StoredRecipes) -> Iterator[Found]:
    """Walk all recipes below the scores, and name those that read a test story's responses."""
    for arm in arms:
        dataset = arm.plan.prepared.dataset
        known = arm.plan.prepared.division.stimuli.transcripts
        words = {known[story].digest(): story for story in dataset.withheld if story in known}
        if not words:
            continue
        for key, content in stored.below(arm.scores).items():
            named = {place.rpartition("/")[2] for place in _read(content["inputs"])}
            entries = [one for found in content.get("lineage", {}).values() for one in found]
            named |= {words.get(one["text"], one["story"]) for one in entries if one["bold"]}
            for story in sorted(named & dataset.withheld):
                yield Fault(
                    "test-story-read",
                    f"{arm.where}: {content['stage']}, {story}",
                    key,
                    "its recipe names the responses to a test story",
                )


def _read(inputs: Mapping[str, str]) -> list[str]:
    """Places of inputs that are responses."""
    return [place for place in inputs if place.split("/")[0] in ("responses", "other-listener")]
