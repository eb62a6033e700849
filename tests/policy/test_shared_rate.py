"""How hubs keep to a rate together: no period ever has more jobs than it allows."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub._policy.shared_rate import (
    RateGrant,
    RateReply,
    RateRequest,
    jitter,
    merged,
    reply_to,
    validity,
)
from captchahub.settings import Rate

FIVE = Rate(5, 10.0)


def reply(wanted: int, *grants: RateGrant, now: float = 100.0, has_waited: bool = False) -> RateReply:
    return reply_to(RateRequest(FIVE, wanted, validity=0.5, has_waited=has_waited), grants, now, "me")


def own(counted_at: float, jobs: int) -> RateGrant:
    return RateGrant(counted_at, jobs, "me")


def theirs(counted_at: float, jobs: int) -> RateGrant:
    return RateGrant(counted_at, jobs, "another")


class TestReplyTo:
    def test_a_hub_alone_gets_what_it_wants_up_to_the_rate(self) -> None:
        assert reply(3) == RateReply(3, 100.5)
        assert reply(9) == RateReply(5, 100.5)
        assert reply(9, own(95.0, 2)) == RateReply(3, 100.5)

    def test_others_leave_it_half_of_what_there_is(self) -> None:
        assert reply(9, theirs(95.0, 2)).jobs == 2
        assert reply(9, theirs(95.0, 4)).jobs == 1
        assert reply(1, theirs(95.0, 1)).jobs == 1

    def test_it_says_when_there_are_some_again(self) -> None:
        assert reply(1, theirs(92.0, 3), own(95.0, 2)) == RateReply(0, 102.0)
        # Another hub has a higher rate.
        assert reply(1, theirs(92.0, 1), theirs(93.0, 5)) == RateReply(0, 103.0)

    def test_a_grant_counts_for_the_period_after_its_end(self) -> None:
        assert reply(1, theirs(90.1, 5)).jobs == 0
        assert reply(9, theirs(90.0, 5)).jobs == 5
        # Its jobs may be created later than now.
        assert reply(1, theirs(100.4, 5)).jobs == 0

    def test_a_clock_that_was_set_back_stops_no_hub(self) -> None:
        assert reply(9, theirs(4000.0, 5)).jobs == 5

    def test_with_more_than_its_share_it_lets_the_others_ask_first(self) -> None:
        # Another hub waits.
        assert reply(9, own(95.0, 2), theirs(96.0, 0)).jobs == 2
        assert reply(9, own(95.0, 3), theirs(96.0, 0)) == RateReply(0, 100.05)
        assert reply(9, own(95.0, 3), theirs(96.0, 0), has_waited=True).jobs == 1


def test_a_grant_is_valid_for_a_small_part_of_the_period() -> None:
    assert [validity(Rate(5, seconds), 0) for seconds in (1.0, 10.0, 60.0)] == [0.05, 0.5, 1.0]
    assert [validity(Rate(5, 60.0), expired) for expired in (1, 2, 100)] == [2.0, 4.0, 16.0]


def test_hubs_do_not_all_ask_at_the_same_moment() -> None:
    assert [jitter(Rate(5, 1.0), chance) for chance in (0.0, 1.0)] == [0.0, 0.01]
    assert jitter(Rate(5, 3600.0), 1.0) == 0.05


@attrs.define
class Granted:
    """A grant as its hub uses it: the times of its jobs."""

    counted_at: float
    jobs: int
    hub: int
    created: list[float] = attrs.field(factory=list[float])


rates = st.builds(Rate, jobs=st.integers(1, 5), seconds=st.integers(2, 20).map(float))
# A pause, a hub, how many jobs it wants, the delay of each, and whether it corrects its grant.
steps = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.integers(0, 2),
        st.integers(1, 4),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.booleans(),
    ),
    max_size=40,
)


@given(rate=rates, steps=steps)
def test_no_period_has_more_jobs_than_the_rate_allows(
    rate: Rate, steps: Sequence[tuple[int, int, int, float, bool]]
) -> None:
    now, every, created = 1000.0, list[Granted](), list[float]()
    for pause, hub, wanted, delay, corrects in steps:
        now += pause
        counted = sorted((one.counted_at, one.jobs, f"{one.hub}") for one in every)
        request = RateRequest(rate, wanted, 1.0, has_waited=corrects)
        found = reply_to(request, [RateGrant(*one) for one in counted], now, f"{hub}")
        if not found.jobs:
            assert found.until > now
            continue
        one = Granted(found.until, found.jobs, hub)
        every.append(one)
        # It may create fewer, and at any time up to the end of the grant.
        one.created = [now + delay] * min(wanted, found.jobs)
        created += one.created
        if corrects:
            one.counted_at, one.jobs = one.created[-1], len(one.created)
    for at in created:
        assert sum(at <= other < at + rate.seconds for other in created) <= rate.jobs


class TestMerging:
    HOUR = Rate(1000, 3600.0)

    def test_few_grants_stay_as_they_are(self) -> None:
        assert merged([own(float(second), 1) for second in range(99)], self.HOUR, 100.0) is None

    @pytest.mark.parametrize("seed", range(5))
    def test_many_become_few_that_allow_no_more_jobs(self, seed: int) -> None:
        random = Random(seed)
        grants = [own(random.uniform(0, 3600), random.randrange(10)) for _ in range(200)]
        grants.sort(key=lambda one: one.counted_at)
        few = merged(grants, self.HOUR, 3600.0)
        assert few is not None
        assert len(few) <= 51
        assert sum(one.jobs for one in few) == sum(one.jobs for one in grants)
        few = sorted(few, key=lambda one: one.counted_at)
        wanted = RateRequest(self.HOUR, 1000, validity=1.0, has_waited=True)
        for now in (random.uniform(3600, 7200) for _ in range(20)):
            allowed = reply_to(wanted, grants, now, "me").jobs
            assert reply_to(wanted, few, now, "me").jobs <= allowed
            # Each job counts for up to a fiftieth of the period longer.
            assert reply_to(wanted, few, now + 72.0, "me").jobs >= allowed
