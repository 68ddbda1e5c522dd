"""Every cheat of the gallery, with the faults by which it may be named; every honest study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import gallery_choices as choices
import gallery_data as data
import gallery_honest as honest
import gallery_projections as projections
import gallery_rows as rows
import gallery_scores as scores
import gallery_tuning as tuning
from gallery_bench import Bench

Study = Callable[[Bench], Path]


@dataclass(frozen=True)
class Cheat:
    """One cheating study.

    Parameters
    ----------
    act : callable
        Runs it; gives the folder of results.
    faults : tuple of str
        It is caught when one of these is reported.
    least : float, optional
        What its mean r on simulated listeners reaches at least (honest: below .2, without
        signal: about 0); None where it gains little or nothing.
    real : bool
        Whether it is run on real listeners too.
    """

    act: Study
    faults: tuple[str, ...]
    least: float | None = None
    real: bool = False


COPIES = ("same-story-two-names", "test-rows-in-fit")
ALTERED = ("responses-not-the-dataset",)
DESIGNS = ("features-not-reproduced",)
EDITED = ("outputs-edited", "scores-not-reproduced", "lineage-differs")

CHEATS: Mapping[str, Cheat] = {
    # rows
    "cheat_shuffled_trs": Cheat(rows.cheat_shuffled_trs, ("shuffled-rows",), 0.12, real=True),
    "cheat_random_chunks": Cheat(rows.cheat_random_chunks, ("random-chunks",), 0.06, real=True),
    "cheat_features_one_story_off": Cheat(
        rows.cheat_features_one_story_off, ("features-other-story",), real=True
    ),
    "cheat_features_one_tr_off": Cheat(
        rows.cheat_features_one_tr_off, ("features-shifted",), real=True
    ),
    "cheat_delays_across_borders": Cheat(
        rows.cheat_delays_across_borders, ("delays-across-stories",), real=True
    ),
    "cheat_features_scaled_together": Cheat(
        rows.cheat_features_scaled_together, ("pooled-scaling",), real=True
    ),
    "cheat_responses_scaled_together": Cheat(
        rows.cheat_responses_scaled_together, ("pooled-scaling",)
    ),
    "cheat_repeated_among_single_stories": Cheat(
        rows.cheat_repeated_among_single_stories, ("mixed-presentations",), real=True
    ),
    "cheat_responses_in_the_design": Cheat(
        rows.cheat_responses_in_the_design,
        (*DESIGNS, "brain-at-evaluation"),
        0.3,
        real=True,
    ),
    "cheat_responses_smoothed_together": Cheat(rows.cheat_responses_smoothed_together, ALTERED),
    "cheat_test_rows_oversampled_into_training": Cheat(
        rows.cheat_test_rows_oversampled_into_training, (*COPIES, "features-other-story"), 0.35
    ),
    "cheat_training_rows_twice": Cheat(
        rows.cheat_training_rows_twice, ("lineage-differs", "shuffled-rows", *ALTERED)
    ),
    "cheat_test_stories_in_the_ridge": Cheat(
        rows.cheat_test_stories_in_the_ridge, ("test-rows-in-fit",), 0.35
    ),
    "cheat_baseline_trained_on_less": Cheat(
        rows.cheat_baseline_trained_on_less, ("lineage-differs",)
    ),
    "cheat_baseline_with_noise": Cheat(rows.cheat_baseline_with_noise, DESIGNS),
    # data
    "cheat_story_under_two_names": Cheat(data.cheat_story_under_two_names, COPIES, 0.35, real=True),
    "cheat_noisy_copy_of_a_test_story": Cheat(
        data.cheat_noisy_copy_of_a_test_story, COPIES, 0.3, real=True
    ),
    "cheat_rescaled_copy_of_a_test_story": Cheat(
        data.cheat_rescaled_copy_of_a_test_story, COPIES, 0.35
    ),
    "cheat_lagged_copy_of_a_test_story": Cheat(
        data.cheat_lagged_copy_of_a_test_story, COPIES, 0.35, real=True
    ),
    "cheat_part_of_a_test_story_in_training": Cheat(
        data.cheat_part_of_a_test_story_in_training, COPIES, 0.22
    ),
    "cheat_subject_loaded_twice": Cheat(data.cheat_subject_loaded_twice, ("subject-twice",)),
    "cheat_subject_twice_with_noise": Cheat(
        data.cheat_subject_twice_with_noise, ("subject-twice",), real=True
    ),
    "cheat_subject_twice_in_another_order": Cheat(
        data.cheat_subject_twice_in_another_order, ("subject-twice",)
    ),
    "cheat_subject_twice_moved_in_time": Cheat(
        data.cheat_subject_twice_moved_in_time, ("subject-twice",), real=True
    ),
    "cheat_subject_twice_mixed_and_moved": Cheat(
        data.cheat_subject_twice_mixed_and_moved, ("diagnostic 5",)
    ),
    "cheat_test_story_scored_twice": Cheat(
        data.cheat_test_story_scored_twice, ("same-story-two-names",), real=True
    ),
    "cheat_test_stories_train_another_subject": Cheat(
        data.cheat_test_stories_train_another_subject, ("same-story-two-names",)
    ),
    "cheat_responses_of_another_subject": Cheat(
        data.cheat_responses_of_another_subject, ("other-subject-responses",), real=True
    ),
    # choices
    "cheat_alpha_chosen_on_test": Cheat(
        choices.cheat_alpha_chosen_on_test, ("chosen-on-test",), real=True
    ),
    "cheat_alpha_chosen_on_test_within_the_ridge": Cheat(
        choices.cheat_alpha_chosen_on_test_within_the_ridge,
        ("chosen-on-test", "choice-not-reproduced"),
    ),
    "cheat_layer_chosen_on_test": Cheat(
        choices.cheat_layer_chosen_on_test, ("chosen-on-test", *DESIGNS)
    ),
    "cheat_delays_tried_out_on_test": Cheat(
        choices.cheat_delays_tried_out_on_test, ("test-set-opened", "chosen-on-test")
    ),
    "cheat_best_arm_reported_alone": Cheat(
        choices.cheat_best_arm_reported_alone, ("test-set-opened",)
    ),
    "cheat_test_stories_as_validation_stories": Cheat(
        choices.cheat_test_stories_as_validation_stories, ("test-set-opened",)
    ),
    "cheat_ledger_deleted": Cheat(choices.cheat_ledger_deleted, ("test-set-opened",)),
    "cheat_targets_chosen_on_test": Cheat(
        choices.cheat_targets_chosen_on_test,
        ("chosen-on-test", "scores-not-reproduced"),
        0.3,
        real=True,
    ),
    "cheat_dataset_of_targets_chosen_on_test": Cheat(
        choices.cheat_dataset_of_targets_chosen_on_test, ("chosen-on-test",), 0.3
    ),
    "cheat_worst_story_left_out": Cheat(
        choices.cheat_worst_story_left_out, ("chosen-on-test", *EDITED)
    ),
    # projections, folds, bands
    "cheat_test_stories_in_the_projection": Cheat(
        projections.cheat_test_stories_in_the_projection, ("test-rows-in-fit",)
    ),
    "cheat_test_stories_in_the_projection_of_folds": Cheat(
        projections.cheat_test_stories_in_the_projection_of_folds, ("test-rows-in-fit",)
    ),
    "cheat_rank_chosen_on_test": Cheat(
        projections.cheat_rank_chosen_on_test, ("chosen-on-test", "choice-not-reproduced")
    ),
    "cheat_projection_edited_in_the_store": Cheat(
        projections.cheat_projection_edited_in_the_store, ("predictions-not-reproduced",)
    ),
    "cheat_shares_chosen_on_test": Cheat(
        projections.cheat_shares_chosen_on_test, ("chosen-on-test", "choice-not-reproduced")
    ),
    "cheat_held_out_story_in_a_fold_model": Cheat(
        projections.cheat_held_out_story_in_a_fold_model, ("lineage-differs", *ALTERED)
    ),
    # scores
    "cheat_predictions_blended": Cheat(
        scores.cheat_predictions_blended, ("predictions-not-reproduced",), 0.35, real=True
    ),
    "cheat_predictions_blended_within_the_ridge": Cheat(
        scores.cheat_predictions_blended_within_the_ridge, ("predictions-not-reproduced",), 0.35
    ),
    "cheat_larger_r_within_scoring": Cheat(
        scores.cheat_larger_r_within_scoring, ("scores-not-reproduced",), 0.28
    ),
    "cheat_predictions_blended_before_scoring": Cheat(
        scores.cheat_predictions_blended_before_scoring, ("scores-not-reproduced",), 0.35
    ),
    "cheat_best_lag_at_scoring": Cheat(
        scores.cheat_best_lag_at_scoring, ("scores-not-reproduced",)
    ),
    "cheat_absolute_r": Cheat(scores.cheat_absolute_r, ("scores-not-reproduced",)),
    "cheat_cleaned_test_responses": Cheat(
        scores.cheat_cleaned_test_responses, ("scores-not-reproduced", *ALTERED), 0.3
    ),
    "cheat_table_edited": Cheat(scores.cheat_table_edited, EDITED),
    "cheat_run_json_edited": Cheat(scores.cheat_run_json_edited, EDITED, 0.28),
    "cheat_study_file_edited": Cheat(scores.cheat_study_file_edited, EDITED),
    "cheat_p_values_edited_in_the_store": Cheat(scores.cheat_p_values_edited_in_the_store, EDITED),
    "cheat_ceilings_edited_in_the_store": Cheat(scores.cheat_ceilings_edited_in_the_store, EDITED),
    "cheat_medians_edited_in_the_store": Cheat(scores.cheat_medians_edited_in_the_store, EDITED),
    "cheat_page_edited": Cheat(scores.cheat_page_edited, EDITED),
    "cheat_scores_edited": Cheat(scores.cheat_scores_edited, EDITED),
    "cheat_report_edited_everywhere": Cheat(scores.cheat_report_edited_everywhere, EDITED, 0.28),
    "cheat_scores_edited_in_the_store": Cheat(
        scores.cheat_scores_edited_in_the_store, EDITED, 0.28
    ),
    "cheat_predictions_edited_in_the_store": Cheat(
        scores.cheat_predictions_edited_in_the_store,
        ("predictions-not-reproduced", "lineage-differs"),
        0.35,
    ),
    "cheat_store_of_a_patched_run": Cheat(
        scores.cheat_store_of_a_patched_run, ("features-shifted", *DESIGNS)
    ),
    # tuning
    "cheat_test_responses_in_the_tuning": Cheat(
        tuning.cheat_test_responses_in_the_tuning, ("test-story-in-tuning",)
    ),
    "cheat_test_words_in_the_tuning": Cheat(
        tuning.cheat_test_words_in_the_tuning, ("test-text-in-tuning",)
    ),
    "cheat_best_epoch_on_test": Cheat(
        tuning.cheat_best_epoch_on_test,
        ("chosen-on-test", "test-text-in-tuning", "test-story-in-tuning"),
    ),
    "cheat_brain_at_evaluation": Cheat(
        tuning.cheat_brain_at_evaluation, ("brain-at-evaluation",), 0.3
    ),
    "cheat_later_brain_at_evaluation": Cheat(
        tuning.cheat_later_brain_at_evaluation, ("brain-at-evaluation",), 0.22
    ),
    "cheat_brain_in_all_but_a_few_stories": Cheat(
        tuning.cheat_brain_in_all_but_a_few_stories, ("brain-at-evaluation", *DESIGNS), 0.3
    ),
    "cheat_selection_by_the_scored_story": Cheat(
        tuning.cheat_selection_by_the_scored_story, ("chosen-on-test",)
    ),
    "cheat_scored_where_targets_were_chosen": Cheat(
        tuning.cheat_scored_where_targets_were_chosen, ("chosen-on-test",)
    ),
    "cheat_mask_rate_tried_out_on_test": Cheat(
        tuning.cheat_mask_rate_tried_out_on_test, ("test-set-opened", "chosen-on-test")
    ),
    "cheat_other_training_than_declared": Cheat(
        tuning.cheat_other_training_than_declared, ("lineage-differs",)
    ),
    "cheat_shifted_control_not_shifted": Cheat(
        tuning.cheat_shifted_control_not_shifted, ("lineage-differs", *ALTERED)
    ),
    "cheat_test_story_in_the_brain_encoder": Cheat(
        tuning.cheat_test_story_in_the_brain_encoder, ("test-story-in-tuning",)
    ),
}

HONEST: Mapping[str, Study] = {
    name: study for name, study in vars(honest).items() if name.startswith("honest_")
}
ON_SIMULATED = tuple(name for name in HONEST if not name.startswith("honest_published"))
HONEST_ON_REAL = (
    "honest_plain",
    "honest_nuisance_with_and_alone",
    "honest_half_precision",
    "honest_leave_story_out",
    "honest_missing_stories",
    "honest_protocol_of_the_report",
    "honest_published_components",
    "honest_published_regions",
)

KNOWN_MISSES: frozenset[tuple[str, str]] = frozenset(
    {
        ("simulated", "cheat_dataset_of_targets_chosen_on_test"),
    }
)
"""World and name of cheats that nothing names yet; the test fails when one of them is caught."""

EACH_TIME: frozenset[str] = frozenset(
    {
        "cheat_absolute_r",
        "cheat_alpha_chosen_on_test",
        "cheat_alpha_chosen_on_test_within_the_ridge",
        "cheat_best_arm_reported_alone",
        "cheat_best_lag_at_scoring",
        "cheat_brain_in_all_but_a_few_stories",
        "cheat_dataset_of_targets_chosen_on_test",
        "cheat_delays_across_borders",
        "cheat_delays_tried_out_on_test",
        "cheat_features_one_story_off",
        "cheat_features_one_tr_off",
        "cheat_features_scaled_together",
        "cheat_noisy_copy_of_a_test_story",
        "cheat_p_values_edited_in_the_store",
        "cheat_predictions_blended_before_scoring",
        "cheat_random_chunks",
        "cheat_repeated_among_single_stories",
        "cheat_responses_in_the_design",
        "cheat_responses_of_another_subject",
        "cheat_responses_scaled_together",
        "cheat_scores_edited",
        "cheat_shuffled_trs",
        "cheat_story_under_two_names",
        "cheat_subject_loaded_twice",
        "cheat_subject_twice_moved_in_time",
        "cheat_targets_chosen_on_test",
        "cheat_test_responses_in_the_tuning",
        "cheat_test_stories_as_validation_stories",
        "cheat_test_story_scored_twice",
        "cheat_test_words_in_the_tuning",
    }
)
"""Of the simulated world, judged with every run of the tests; `make gallery` judges all."""

HONEST_EACH_TIME: frozenset[str] = frozenset(
    {
        "honest_plain",
        "honest_nuisance_with_and_alone",
        "honest_half_precision",
        "honest_leave_story_out",
        "honest_missing_stories",
        "honest_within_one_story",
        "honest_texts_with_one_opening",
        "honest_protocol_of_the_report",
    }
)
