"""What is known of the licences of data, language models and brain encoders."""

from __future__ import annotations

from brainaligner.study._config import StudyConfig
from brainaligner.study._dataset_config import EMBEDDED, SIMULATED
from brainaligner.study._tuning_config import BRAINLM

DATASETS = {
    "lebel2023": "CC0 (OpenNeuro ds003020, LeBel et al. 2023)",
    "lebel2023-pcs": "CC0 (components of OpenNeuro ds003020, LeBel et al. 2023)",
    "alice2016": "CC BY 4.0 (Brennan et al. 2016): name the source",
    SIMULATED: "no recordings: the listeners are simulated",
}
"""Licence of what each reader reads; own data are their owner's."""

EMBEDDED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
MODELS = {
    EMBEDDED_NAME: "apache-2.0",
    "bert-base-uncased": "apache-2.0",
    "bert-large-uncased": "apache-2.0",
    "google-bert/bert-base-uncased": "apache-2.0",
    "google-bert/bert-large-uncased": "apache-2.0",
    "gpt2": "mit",
    "openai-community/gpt2": "mit",
}
"""Licence of a language model, as the hub names it."""

BRAINLM_LICENCE = (
    "CC BY-NC-ND 4.0: not for commercial use, and changed weights may not be shared. This model "
    "holds none of these weights; it was tuned beside the vectors that they give"
)


def base_model(name: str, *, is_folder: bool) -> str | None:
    """Name on the hub of the model that a study starts from; None for a folder of one's own."""
    if name == EMBEDDED:
        return EMBEDDED_NAME
    return None if is_folder or name.startswith(("/", ".", "~")) else name


def reads_brainlm(config: StudyConfig, tuning: str) -> bool:
    """Whether a tuning reads vectors of the published BrainLM weights."""
    brain = config.tunings[tuning].brain
    found = None if brain is None else config.brains[brain]
    return found is not None and found.kind == BRAINLM and found.random is None


def licence_notes(config: StudyConfig, tuning: str, base: str | None) -> dict[str, str]:
    """What a reader has to know of the licences behind a tuned model."""
    reader = config.dataset.reader
    known = MODELS.get(base or "")
    notes = {
        "data": DATASETS.get(reader, "own data: their owner's to say"),
        "base model": known or "not known here: check it before you share this model",
    }
    if reads_brainlm(config, tuning):
        notes["BrainLM weights"] = BRAINLM_LICENCE
    return notes


def hub_licence(config: StudyConfig, tuning: str, base: str | None) -> dict[str, str]:
    """The licence as the front matter of a model card says it.

    It is the base model's where that is known and nothing stricter came in.
    """
    known = MODELS.get(base or "")
    if known is None or reads_brainlm(config, tuning):
        return {"license": "other", "license_name": "see-the-section-on-licences"}
    return {"license": known}
