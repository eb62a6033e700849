"""How hubs share the slots of an account: never more than there are, and each hub gets its share."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from captchahub._policy.shared_slots import (
    SlotClaim,
    SlotRequest,
    pause_for,
    slots_for,
    wanted,
    wanted_later,
)


def granted(limit: int, wants: int, *others: SlotClaim, now: float = 0.0, since: float | None = None) -> int:
    request = SlotRequest(limit=limit, held=0, needed=wants, wanted=wants)
    return slots_for(request, others, now, since)


def content(held: int) -> SlotClaim:
    """Return the claim of a hub that has what it needs."""
    return SlotClaim(held, held, None, asked_at=0.0)


def waiting(held: int, needed: int, since: float, asked_at: float = 0.0) -> SlotClaim:
    return SlotClaim(held, needed, since, asked_at)


class TestSlotsFor:
    def test_a_hub_alone_gets_what_it_wants_up_to_the_limit(self) -> None:
        assert granted(10, 3) == 3
        assert granted(10, 30) == 10

    def test_it_gets_what_is_free(self) -> None:
        assert granted(10, 5, content(7)) == 3
        assert granted(10, 5, content(7), content(6)) == 0

    def test_one_that_has_more_than_its_share_leaves_it_to_those_that_wait(self) -> None:
        assert granted(10, 10, waiting(0, 4, since=1)) == 6
        assert granted(10, 10, waiting(0, 40, since=1)) == 5
        assert granted(9, 9, waiting(0, 40, since=1), waiting(0, 1, since=1)) == 4

    def test_what_is_left_over_goes_to_those_that_have_waited_longest(self) -> None:
        two = waiting(0, 1, since=2), waiting(0, 1, since=4)
        assert granted(1, 1, *two, since=1) == 1
        assert granted(1, 1, *two, since=3) == 0
        assert granted(2, 2, *two, since=3) == 1
        assert granted(2, 2, *two, since=5) == 0
        assert granted(1, 1, *two) == 0

    def test_a_hub_that_has_not_asked_for_long_waits_no_more(self) -> None:
        assert granted(1, 1, waiting(0, 1, since=0, asked_at=1), now=3.9) == 0
        assert granted(1, 1, waiting(0, 1, since=0, asked_at=1), now=4.1) == 1
        assert granted(4, 4, waiting(1, 9, since=0, asked_at=1), now=4.1) == 3

    def test_a_lower_limit_of_another_hub_is_its_own(self) -> None:
        assert granted(10, 2, content(20)) == 0
        assert granted(50, 2, content(20)) == 2


class TestSpareSlots:
    def test_a_hub_that_needs_some_wants_a_few_more(self) -> None:
        assert [wanted(peak, 50) for peak in (0, 1, 4, 40, 60)] == [0, 2, 6, 50, 50]

    def test_it_keeps_those_that_it_has_unless_many_are_idle(self) -> None:
        assert [wanted_later(11, peak, 50) for peak in (0, 1, 4, 6, 8, 30)] == [0, 2, 6, 8, 11, 11]
        assert wanted_later(2, 1, 50) == 2
        assert wanted_later(2, 1, 1) == 1

    def test_the_pauses_of_one_that_waits_grow_to_a_second(self) -> None:
        assert [pause_for(tries, 1.0) for tries in (1, 2, 4, 5, 2000)] == [0.1, 0.2, 0.8, 1.0, 1.0]
        assert pause_for(5, 0.0) == 0.5


@attrs.define
class SimulatedHub:
    """A hub whose attempts, up to ``needed`` at a time, end when it is told so."""

    needed: int
    leased: int = 0
    taken: int = 0
    since: float | None = None
    asked_at: float = 0.0

    @property
    def held(self) -> int:
        return max(self.leased, self.taken)

    @property
    def claim(self) -> SlotClaim:
        return SlotClaim(self.held, self.needed, self.since, self.asked_at)


class Fleet:
    """Hubs that share a limit, and renew their leases as the journal lets them."""

    def __init__(self, limit: int, needs: list[int]) -> None:
        self.limit, self.now = limit, 0.0
        self.hubs = [SimulatedHub(min(needed, limit)) for needed in needs]

    def renew(self, number: int) -> None:
        self.now += 0.1
        hub = self.hubs[number]
        before = hub.held
        want = max(hub.needed, wanted(hub.needed, self.limit))
        request = SlotRequest(self.limit, hub.held, hub.needed, want)
        others = [other.claim for other in self.hubs if other is not hub]
        hub.leased = slots_for(request, others, self.now, hub.since)
        if hub.leased >= hub.needed:
            hub.since = None
        elif hub.since is None or hub.held > before:
            hub.since = self.now
        hub.asked_at = self.now
        hub.taken = max(hub.taken, min(hub.leased, hub.needed))

    def end_attempt(self, number: int) -> None:
        hub = self.hubs[number]
        if hub.taken:
            hub.taken -= 1
            # The next attempt of the same hub takes the slot, unless that is leased no more.
            if hub.taken < min(hub.leased, hub.needed):
                hub.taken += 1

    @property
    def held(self) -> int:
        return sum(hub.held for hub in self.hubs)


steps = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 9)), max_size=80)


class TestAFleet:
    @given(limit=st.integers(1, 12), steps=steps)
    def test_never_holds_more_than_the_limit(self, limit: int, steps: list[tuple[int, bool, int]]) -> None:
        fleet = Fleet(limit, [0, 0, 0, 0])
        for number, renews, needed in steps:
            hub = fleet.hubs[number]
            hub.needed = max(hub.taken, min(needed, limit))
            if renews:
                fleet.renew(number)
            else:
                fleet.end_attempt(number)
            assert fleet.held <= limit

    @given(limit=st.integers(1, 12), needs=st.lists(st.integers(0, 20), min_size=1, max_size=5))
    def test_gives_each_hub_what_it_needs_or_as_much_as_any_other(self, limit: int, needs: list[int]) -> None:
        fleet = Fleet(limit, needs)
        for _ in range(30):
            for number in range(len(needs)):
                fleet.renew(number)
                fleet.end_attempt(number)
        for number in (*range(len(needs)), *range(len(needs))):
            fleet.renew(number)
        for hub in fleet.hubs:
            assert hub.held >= min(hub.needed, limit // len(needs))
        assert fleet.held >= min(limit, sum(hub.needed for hub in fleet.hubs))

    def test_uses_a_single_slot_in_turn(self) -> None:
        fleet, turns = Fleet(1, [5, 5, 5]), list[int]()
        for _ in range(60):
            for number, hub in enumerate(fleet.hubs):
                fleet.renew(number)
                if hub.taken and turns[-1:] != [number]:
                    turns.append(number)
                fleet.end_attempt(number)
        assert len(turns) > 6
        assert turns[:6] == turns[:3] * 2
        assert sorted(turns[:3]) == [0, 1, 2]
