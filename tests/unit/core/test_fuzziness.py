"""How fuzzy concepts are, worked out by hand, and what the prior does to a head."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from core.errors import ConfigError
from core.fuzziness import fuzziness, sharpness_prior
from core.head_path import fit_path
from core.heads import fit_head

# Two images of four patches, four concepts.
CODES = np.array(
    [
        # concept 0: all or nothing; 1: half in twice, then crisp; 2: only in image 1; 3: never
        [2.0, 4.0, 0.0, 0.0],
        [2.0, 2.0, 0.0, 0.0],
        [0.0, 2.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 3.0, 8.0, 0.0],
        [5.0, 3.0, 2.0, 0.0],
        [0.0, 0.0, 7.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
)


@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_by_hand(kind) -> None:
    # concept 1: image 0 has memberships 1, .5, .5, 0: 2/4 * 1 = .5; image 1 is crisp: mean .25
    # concept 2: memberships 1, .25, .875, 0: 2/4 * (.25 + .125) = .1875, image 0 does not count
    assert fuzziness(kind(CODES), 4) == pytest.approx([0.0, 0.25, 0.1875, 0.0])


def test_scale_and_order_of_images_do_not_count() -> None:
    turned = np.vstack((CODES[4:], CODES[:4])) * 7
    assert fuzziness(turned, 4) == pytest.approx(fuzziness(CODES, 4))


def test_nothing_fires() -> None:
    assert fuzziness(np.zeros((4, 3)), 2).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("patches", [0, 3])
def test_only_whole_images(patches: int) -> None:
    with pytest.raises(ConfigError, match="whole images"):
        fuzziness(CODES, patches)


def test_prior_by_hand() -> None:
    found = sharpness_prior(np.array([0.0, 0.1, 0.2]), 0.1)
    assert found == pytest.approx([1.0, 1 / 2, 1 / 17])


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_the_limit_is_positive(limit: float) -> None:
    with pytest.raises(ConfigError, match="limit"):
        sharpness_prior(np.zeros(2), limit)


def _twins() -> tuple[np.ndarray, np.ndarray]:
    """Two concepts that say the same of two classes, and a third that says nothing."""
    labels = np.arange(60) % 2
    noise = np.random.default_rng(0).random(60)
    return np.column_stack((labels, labels, noise)).astype(float), labels


def test_of_two_like_concepts_the_head_takes_the_likelier() -> None:
    codes, labels = _twins()
    even = fit_head(codes, labels, "ab", c=1.0)
    assert even.weight_CN[1, 0] == pytest.approx(even.weight_CN[1, 1], rel=1e-3)
    # The least penalty for a given sum of two weights shares it as the priors' squares: 1 to 16.
    led = fit_head(codes, labels, "ab", c=1.0, prior_N=np.array([1.0, 0.25, 1.0]))
    assert led.weight_CN[1, 0] / led.weight_CN[1, 1] == pytest.approx(16, rel=1e-3)


def test_the_scale_of_a_prior_does_not_count() -> None:
    codes, labels = _twins()
    plain = fit_head(codes, labels, "ab", c=1.0)
    for prior in (np.ones(3), np.full(3, 5.0)):
        same = fit_head(codes, labels, "ab", c=1.0, prior_N=prior)
        assert same.weight_CN == pytest.approx(plain.weight_CN, rel=1e-4, abs=1e-5)


def test_a_path_takes_up_the_likelier_concept_first() -> None:
    codes, labels = _twins()
    for prior, first in ((np.array([1.0, 0.25, 1.0]), 0), (np.array([0.25, 1.0, 1.0]), 1)):
        path = fit_path(codes, labels, "ab", counts=(1,), c=1.0, prior_N=prior)
        assert path.points[0].concepts == (first,)


@pytest.mark.parametrize("prior", [np.ones(2), np.array([1.0, 0.0, 1.0]), np.full(3, np.inf)])
def test_a_prior_must_fit(prior: np.ndarray) -> None:
    codes, labels = _twins()
    with pytest.raises(ConfigError, match="prior"):
        fit_head(codes, labels, "ab", prior_N=prior)
