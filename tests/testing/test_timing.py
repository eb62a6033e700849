"""Times in the sandbox: fixed or spread, never impossible."""

import random
import statistics

import pytest

from captchahub.testing import LogNormal
from captchahub.testing.timing import sampler


def test_log_normal_times_have_the_median_and_the_spread_they_were_given() -> None:
    chance = random.Random(11)
    times = [LogNormal(2.0, 0.5).sample(chance) for _ in range(20_000)]
    assert statistics.median(times) == pytest.approx(2.0, rel=0.03)
    tenth, *_, ninetieth = statistics.quantiles(times, n=10)
    # The tenth and the ninetieth percentile of a normal distribution are 1.2816 sigma off its middle.
    assert ninetieth / tenth == pytest.approx(2.718281828 ** (2 * 1.2816 * 0.5), rel=0.05)
    assert min(times) > 0


def test_equal_seeds_give_equal_times() -> None:
    one, same, other = (
        [sample() for _ in range(5)]
        for sample in (sampler(LogNormal(1), 1), sampler(LogNormal(1), 1), sampler(LogNormal(1), 2))
    )
    assert one == same != other


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_impossible_times_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="must be 0"):
        sampler(seconds, seed=0)
    with pytest.raises(ValueError, match="median must be 0 or more"):
        LogNormal(seconds)


def test_a_fixed_time_is_always_the_same() -> None:
    sample = sampler(1.5, seed=0)
    assert [sample(), sample()] == [1.5, 1.5]
