"""From arrays to scores, against scikit-learn, a plain loop, and what a study refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from brainaligner.core import InputError, Split, ValidationSplit, WithinStorySplit
from brainaligner.encoding import RidgeSettings
from brainaligner.evaluation import EvaluationSettings, mean_interval
from brainaligner.study import ArrayScores, score_arrays
from brainaligner.text import DesignSettings

STORIES = ("ash", "bay", "cob", "dell", "elm", "fen")
SPLIT = Split(STORIES[:3], STORIES[3:4], STORIES[4:])
ALPHAS = (1.0, 30.0, 1000.0)
QUICK = EvaluationSettings(cuts=(0,), n_bootstrap=20, n_shifts=20)
Arrays = dict[str, np.ndarray]


def planted(
    *, n_rows: int = 60, n_features: int = 3, n_targets: int = 5, seed: int = 0
) -> tuple[Arrays, Arrays]:
    """Responses that follow the features two rows later, under noise."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((n_features, n_targets))
    features, responses = {}, {}
    for position, story in enumerate(STORIES):
        x = rng.standard_normal((n_rows + position, n_features))
        noise = rng.standard_normal((n_rows + position, n_targets))
        late = np.concatenate([np.zeros((2, n_targets)), (x @ weights)[:-2]])
        features[story], responses[story] = x, late + noise
    return features, responses


def delayed(x: np.ndarray, delays: tuple[int, ...]) -> np.ndarray:
    """Standardised features, delayed row by row."""
    z = (x - x.mean(0)) / x.std(0)
    out = np.zeros((len(z), len(delays), z.shape[1]))
    for t in range(len(z)):
        for block, delay in enumerate(delays):
            if t >= delay:
                out[t, block] = z[t - delay]
    return out.reshape(len(z), -1)


def by_hand(
    features: Arrays, responses: Arrays, split: Split, delays: tuple[int, ...]
) -> tuple[float, np.ndarray, list[np.ndarray]]:
    """Alpha, r of each target and predictions by scikit-learn and a loop over targets."""
    stack = {
        side: tuple(
            np.concatenate(parts)
            for parts in (
                [delayed(features[s], delays) for s in names],
                [responses[s] for s in names],
            )
        )
        for side, names in {"train": split.train, "choose": split.validation}.items()
    }
    tested = list(split.test)

    def fitted(alpha: float) -> Ridge:
        return Ridge(alpha=alpha, fit_intercept=False).fit(*stack["train"])

    def correlations(y: np.ndarray, p: np.ndarray) -> np.ndarray:
        return np.array([np.corrcoef(y[:, k], p[:, k])[0, 1] for k in range(y.shape[1])])

    means = [
        correlations(stack["choose"][1], fitted(alpha).predict(stack["choose"][0])).mean()
        for alpha in ALPHAS
    ]
    alpha = ALPHAS[int(np.argmax(means))]
    predicted = [fitted(alpha).predict(delayed(features[s], delays)) for s in tested]
    measured = np.concatenate([responses[s] for s in tested])
    return alpha, correlations(measured, np.concatenate(predicted)), predicted


@pytest.mark.parametrize("delays", [(0,), (1, 2, 3)])
def test_r_alpha_mean_and_interval_are_those_of_scikit_learn_and_a_loop(
    delays: tuple[int, ...],
) -> None:
    features, responses = planted()
    found = score_arrays(
        features,
        responses,
        SPLIT,
        design=DesignSettings(delays=delays),
        ridge=RidgeSettings(alphas=ALPHAS, products="float64"),
        evaluation=QUICK,
    )
    alpha, r, predicted = by_hand(features, responses, SPLIT, delays)
    assert (found.alpha == alpha).all()
    np.testing.assert_allclose(found.r, r, atol=1e-5)
    assert found.mean == pytest.approx(r.mean(), abs=1e-5)
    wanted = mean_interval(predicted, [responses[s] for s in SPLIT.test], seed=0, n_draws=20)
    assert found.interval.low == pytest.approx(wanted.low, abs=1e-4)
    assert found.interval.high == pytest.approx(wanted.high, abs=1e-4)


def test_views_in_any_direction_give_the_same() -> None:
    features, responses = planted()
    one = score_arrays(features, responses, SPLIT, evaluation=QUICK)
    turned = {story: np.flip(y, axis=1).copy()[:, ::-1] for story, y in responses.items()}
    other = score_arrays(features, turned, SPLIT, evaluation=QUICK)
    np.testing.assert_array_equal(one.r, other.r)


def test_the_planted_lag_is_found_and_only_with_delays() -> None:
    features, responses = planted(n_rows=200)
    assert score_arrays(features, responses, SPLIT, evaluation=QUICK).mean > 0.6
    alone = score_arrays(
        features, responses, SPLIT, design=DesignSettings(delays=(0,)), evaluation=QUICK
    )
    assert abs(alone.mean) < 0.15


def test_repeated_stories_and_cuts_stand_apart() -> None:
    features, responses = planted()
    split = replace(SPLIT, test=("elm",), test_repeated=("fen",))
    found = score_arrays(
        features, responses, split, evaluation=replace(QUICK, cuts=(0, 5)), targets="components"
    )
    places = [(one.group, one.presentations, one.rows_cut) for _, one in found.results]
    assert places == [
        *(("test", "single", cut) for cut in (0, 5)),
        *(("fen", "repeated", cut) for cut in (0, 5)),
    ]
    assert {s.space.kind for s, _ in found.results} == {"components"}
    assert found.summary.n_rows == len(responses["elm"])


def test_a_validation_split_reads_no_test_story() -> None:
    features, responses = planted()
    for story in SPLIT.test:
        del features[story], responses[story]
    found = score_arrays(features, responses, ValidationSplit.of(SPLIT), evaluation=QUICK)
    assert found.summary.group == "validation"
    assert found.scores.label == "validation stories, also chosen on"
    assert "also chosen on" in repr(found)


def test_stories_outside_of_the_split_change_nothing() -> None:
    features, responses = planted()
    plain = score_arrays(features, responses, SPLIT, evaluation=QUICK)
    features["other"], responses["other"] = np.full((2, 9), np.nan), np.ones((7, 1))
    np.testing.assert_array_equal(
        score_arrays(features, responses, SPLIT, evaluation=QUICK).r, plain.r
    )


def test_leave_story_out_reads_no_validation_response() -> None:
    features, responses = planted()
    ridge = RidgeSettings(alphas=ALPHAS, selection="leave_story_out")
    plain = score_arrays(features, responses, SPLIT, ridge=ridge, evaluation=QUICK)
    responses["dell"] = responses["dell"][::-1].copy()
    again = score_arrays(features, responses, SPLIT, ridge=ridge, evaluation=QUICK)
    np.testing.assert_array_equal(again.r, plain.r)


@settings(max_examples=15)
@given(
    n_rows=st.integers(12, 40),
    n_features=st.integers(1, 4),
    n_targets=st.integers(1, 6),
    per_target=st.booleans(),
)
def test_shapes_follow_the_arrays(
    n_rows: int, n_features: int, n_targets: int, per_target: bool
) -> None:
    features, responses = planted(n_rows=n_rows, n_features=n_features, n_targets=n_targets)
    ridge = RidgeSettings(alphas=ALPHAS, alpha="per_target" if per_target else "shared")
    found = score_arrays(
        features,
        responses,
        SPLIT,
        design=DesignSettings(delays=(1,)),
        ridge=ridge,
        evaluation=QUICK,
    )
    assert found.r.shape == found.alpha.shape == (n_targets,)
    assert found.fit.weights.shape == (n_features, n_targets)
    assert set(found.alpha) <= set(ALPHAS)
    assert -1 <= found.mean <= 1
    assert f"{n_targets} voxels" in found._repr_html_()
    assert ("per target" in repr(found.fit)) is per_target


def with_nan(features: Arrays, responses: Arrays) -> None:
    responses["elm"] = responses["elm"].copy()
    responses["elm"][3, 1] = np.nan


def short(features: Arrays, responses: Arrays) -> None:
    responses["cob"] = responses["cob"][:-1]


def narrow(features: Arrays, responses: Arrays) -> None:
    features["dell"] = features["dell"][:, :2]


def flat(features: Arrays, responses: Arrays) -> None:
    features["ash"] = features["ash"][:, 0]


def whole(features: Arrays, responses: Arrays) -> None:
    responses["fen"] = np.ones((65, 5), dtype=np.int64)


def missing(features: Arrays, responses: Arrays) -> None:
    del features["bay"]


def masked(features: Arrays, responses: Arrays) -> None:
    features["elm"] = np.ma.masked_greater(features["elm"], 1.0)


def brief(features: Arrays, responses: Arrays) -> None:
    for side in (features, responses):
        side["fen"] = side["fen"][:2]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (with_nan, "responses of 'elm': got 1 values that are NaN or infinite"),
        (short, "story 'cob': got features of shape"),
        (narrow, "story 'dell': got features of shape"),
        (flat, "features of 'ash': got a float64 array of shape"),
        (whole, "responses of 'fen': got a int64 array"),
        (missing, "features: got unknown story 'bay'"),
        (masked, "features of 'elm': got "),
        (brief, "design settings: delays: got a delay of 4 rows, and 2 rows of 'fen'"),
    ],
)
def test_bad_arrays_are_refused_by_name(
    broken: Callable[[Arrays, Arrays], None], said: str
) -> None:
    features, responses = planted()
    broken(features, responses)
    with pytest.raises(InputError) as refused:
        score_arrays(features, responses, SPLIT, evaluation=QUICK)
    assert str(refused.value).startswith(said)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"ridge": 100.0},
            "wanted RidgeSettings(...). Write ridge=RidgeSettings(alphas=(100.0,)).",
        ),
        ({"design": {"delays": [1]}}, "Write design=DesignSettings(delays=[1])."),
        ({"design": {}}, "design: got {} (dict)"),
        ({"evaluation": {"cuts": [1]}}, "Write evaluation=EvaluationSettings(cuts=[1])."),
        ({"features": [np.ones((9, 2))]}, "features: got list; wanted a mapping of story to"),
        ({"features": "features.npz"}, "features: got str"),
        ({"responses": None}, "responses: got NoneType"),
        ({"split": ("ash",)}, "split: got tuple"),
        ({"design": DesignSettings(delays=(500,))}, "a delay of 500 rows"),
        (
            {"evaluation": EvaluationSettings(cuts=(0, 40))},
            "rows; wanted at least 83, for evaluation drops 40 at each end. Give",
        ),
    ],
)
def test_arguments_of_other_kinds_are_refused_before_any_work(
    given: dict[str, Any], said: str
) -> None:
    features, responses = planted()
    asked = {"features": features, "responses": responses, "split": SPLIT, "evaluation": QUICK}
    with pytest.raises(InputError) as refused:
        score_arrays(**(asked | given))
    assert said in str(refused.value)


def test_one_story_on_two_sides_cannot_be_asked_for() -> None:
    with pytest.raises(InputError, match="story 'ash' twice"):
        Split(("ash", "bay"), ("cob",), ("ash",))
    with pytest.raises(InputError, match="no validation story"):
        Split(("ash",), (), ())


@pytest.mark.usefixtures("unchecked")
def test_parts_of_one_story_and_the_block_of_words_are_refused() -> None:
    features, responses = planted()
    within = WithinStorySplit("ash", 60, n_folds=3, gap=2)
    with pytest.raises(InputError, match="divides whole stories"):
        score_arrays(features, responses, within)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="made from the words"):
        score_arrays(features, responses, SPLIT, design=DesignSettings(nuisance="with"))
    with pytest.raises(InputError, match="unknown kind 'voxel'"):
        score_arrays(features, responses, SPLIT, targets="voxel", evaluation=QUICK)


def test_what_a_notebook_shows_says_what_the_numbers_are() -> None:
    features, responses = planted()
    found = score_arrays(features, responses, SPLIT, evaluation=QUICK, targets="parcels")
    assert isinstance(found, ArrayScores)
    for shown in (repr(found), found._repr_html_()):
        assert "5 parcels" in shown
        assert "held-out stories" in shown
        assert f"{found.mean:.3f} [" in shown
        assert f"{found.alpha[0]:.3g} (shared)" in shown
    html = found.fit._repr_html_()
    assert "12 features x 5 targets" in html
    assert html.startswith("<table><caption>Fitted ridge")


def test_responses_off_zero_are_warned_of_and_an_intercept_takes_them() -> None:
    features, responses = planted()
    far = {story: y + 50 for story, y in responses.items()}
    with pytest.warns(UserWarning, match="100% of response columns.*intercept: true"):
        found = score_arrays(features, far, SPLIT, evaluation=QUICK)
    (finding,) = found.findings
    assert finding.severity == "warn"
    assert finding.text in repr(found)
    assert "Z-score the responses" in found._repr_html_()
    ridge = RidgeSettings(intercept=True)
    mended = score_arrays(features, far, SPLIT, ridge=ridge, evaluation=QUICK)
    plain = score_arrays(features, responses, SPLIT, ridge=ridge, evaluation=QUICK)
    assert mended.findings == plain.findings == ()
    np.testing.assert_allclose(mended.r, plain.r, atol=1e-3)
    assert mended.mean > found.mean
