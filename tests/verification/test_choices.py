"""What ``tradeoffs`` recommends is close to what an oracle would take, and closer than any habit."""

import math
import statistics

import pytest

from tests.verification.choices import HABITS, WEIGHTS, regrets

pytestmark = pytest.mark.verification


def test_the_recommendation_is_near_the_best():
    told = regrets(seed=1, guests=10)
    for name in WEIGHTS:
        mine = told[name, "recommended"]
        assert all(map(math.isfinite, mine)), "what is recommended converges"
        assert statistics.median(mine) < 0.02
        assert max(mine) < 0.5
        for habit in HABITS:
            others = [one if math.isfinite(one) else 1.0 for one in told[name, habit]]
            assert statistics.fmean(mine) < statistics.fmean(others)
