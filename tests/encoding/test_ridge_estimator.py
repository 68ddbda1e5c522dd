"""The scikit-learn estimator."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from planted_ridge import left_out_table, planted_stories, stacked
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from brainaligner.core import InputError
from brainaligner.encoding import RidgeEncoder

GRID = (0.1, 10.0, 1000.0)
ROWS = (20, 31, 8, 25)


@pytest.mark.parametrize("changed", [{}, {"alpha": "per_target", "intercept": True}])
@pytest.mark.filterwarnings("ignore")
def test_keeps_the_rules_of_scikit_learn(changed: dict[str, object]) -> None:
    found = check_estimator(RidgeEncoder(**changed), on_skip=None, on_fail=None)
    assert {f["check_name"]: f["exception"] for f in found if f["status"] == "failed"} == {}
    assert sum(f["status"] == "passed" for f in found) > 40


def test_groups_are_the_stories_that_are_left_out() -> None:
    train = planted_stories(1, ROWS)
    x, y = stacked(train)
    groups = np.repeat(["d", "a", "c", "b"], ROWS)
    order = np.random.default_rng(0).permutation(len(x))
    fit = RidgeEncoder(GRID, alpha="per_target").fit(x[order], y[order], groups[order])
    table = left_out_table(train, GRID, intercept=False)
    np.testing.assert_array_equal(fit.alpha_, np.array(GRID)[table.argmax(0)])
    for t, alpha in enumerate(fit.alpha_):
        wanted = Ridge(alpha=alpha, fit_intercept=False).fit(x, y[:, t]).coef_
        np.testing.assert_allclose(fit.coef_[t], wanted, atol=3e-5)


def test_works_inside_scikit_learn() -> None:
    x, y = stacked(planted_stories(2, ROWS))
    pipeline = make_pipeline(StandardScaler(), RidgeEncoder(GRID, intercept=True))
    assert pipeline.fit(x, y).score(x, y) > 0.2
    search = GridSearchCV(RidgeEncoder(GRID), {"alphas": [(1e6,), (10.0,)]}, cv=3).fit(x, y)
    assert search.best_params_ == {"alphas": (10.0,)}
    assert clone(RidgeEncoder(GRID, form="dual")).get_params()["form"] == "dual"


def test_a_single_series_keeps_its_shape() -> None:
    x, y = stacked(planted_stories(3, ROWS))
    fit = RidgeEncoder((5.0,), intercept=True).fit(x, y[:, 0])
    wanted = Ridge(alpha=5.0).fit(x, y[:, 0])
    assert fit.coef_.shape == (12,)
    np.testing.assert_allclose(fit.predict(x), wanted.predict(x), atol=1e-4)


def test_labels_of_other_rows_are_refused() -> None:
    x, y = stacked(planted_stories(4, ROWS))
    with pytest.raises(InputError, match="groups"):
        RidgeEncoder().fit(x, y, np.zeros(3))


def test_the_room_needs_neither_scikit_learn_nor_himalaya() -> None:
    code = (
        "import sys\n"
        "sys.modules['sklearn'] = sys.modules['himalaya'] = sys.modules['scipy'] = None\n"
        "import brainaligner.encoding as room\n"
        "import numpy as np\n"
        "x = np.eye(4, dtype='float32')\n"
        "fit = room.fit_ridge(room.ArrayStories([x], [x]),"
        " settings=room.RidgeSettings(alphas=(1.0,)))\n"
        "assert abs(fit.weights[0, 0] - 0.5) < 1e-6\n"
        "assert 'RidgeEncoder' in room.__all__\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("labels", [[None] * 20, ["a", None] * 10, ["a", 1] * 10])
def test_labels_that_cannot_be_sorted_are_refused(labels: list[object]) -> None:
    x = np.random.default_rng(0).standard_normal((20, 3))
    with pytest.raises(InputError, match="groups"):
        RidgeEncoder().fit(x, x[:, :2], groups=np.array(labels, dtype=object))
