"""Connecting to a host that has several addresses, some of which drop all packets."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from captchahub._http.happy_eyeballs import Address, dial, interleaved
from tests.unreachable_addresses import address, refusing, swallowing

V4, V6 = socket.AF_INET, socket.AF_INET6
QUICK = 0.01  # between the beginnings of two attempts, in seconds
PATIENCE = 10.0  # for what is expected to come, in seconds


@pytest.fixture
def alive() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def good(alive: socket.socket) -> Address:
    return address(alive.getsockname()[1])


@pytest.fixture
def swallows() -> Iterator[Address]:
    with swallowing() as found:
        yield found


@pytest.fixture
def refuses() -> Iterator[Address]:
    with refusing() as found:
        yield found


def dialled(
    addresses: Sequence[Address],
    *,
    timeout: float = PATIENCE,
    attempt_delay: float = QUICK,
    check: Callable[[], None] = lambda: None,
) -> socket.socket:
    return dial(addresses, deadline=time.monotonic() + timeout, attempt_delay=attempt_delay, check=check)


class TestTheFirstToConnectWins:
    @pytest.mark.parametrize("dead", [1, 2, 10, 40])
    def test_if_the_addresses_before_it_drop_all_packets(
        self, dead: int, swallows: Address, good: Address
    ) -> None:
        with dialled([swallows] * dead + [good]) as connected:
            assert connected.getpeername() == good[4]

    @pytest.mark.parametrize("dead", [1, 2, 300])
    def test_if_the_addresses_before_it_refuse(self, dead: int, refuses: Address, good: Address) -> None:
        # Nothing waits for the head start of one that has failed: it would be an hour.
        with dialled([refuses] * dead + [good], attempt_delay=3600) as connected:
            assert connected.getpeername() == good[4]

    def test_if_the_addresses_before_it_do_both(
        self, swallows: Address, refuses: Address, good: Address
    ) -> None:
        with dialled([refuses, swallows, refuses, swallows, good]) as connected:
            assert connected.getpeername() == good[4]

    def test_if_a_family_is_not_supported(self, good: Address) -> None:
        nowhere: Address = (V6, socket.SOCK_STREAM, 0, "", ("100::1", 9, 0, 0))
        unheard_of: Address = (socket.AddressFamily.AF_UNIX, socket.SOCK_STREAM, 17, "", ("/nowhere", 0))
        with dialled([nowhere, unheard_of, good]) as connected:
            assert connected.getpeername() == good[4]

    def test_and_the_first_address_does_if_it_works(self, alive: socket.socket, good: Address) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            other.settimeout(0)
            with dialled([good, address(other.getsockname()[1])]) as connected:
                assert connected.getpeername() == alive.getsockname()
            with pytest.raises(BlockingIOError):
                other.accept()

    def test_and_the_attempt_delay_is_shorter_if_time_is_short(
        self, swallows: Address, good: Address
    ) -> None:
        """Every address is tried within the first half of the time."""
        with dialled([swallows] * 20 + [good], timeout=1.0, attempt_delay=3600) as connected:
            assert connected.getpeername() == good[4]


class TestTheWinner:
    def test_is_a_blocking_socket_with_its_options(self, good: Address) -> None:
        options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        deadline = time.monotonic() + PATIENCE
        with dial([good], deadline=deadline, options=options) as connected:
            assert connected.gettimeout() is None
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_leaves_no_other_socket_open(self, swallows: Address, refuses: Address, good: Address) -> None:
        # An unclosed socket is a ResourceWarning, which is an error here.
        dialled([swallows, refuses, good]).close()


class TestNobodyConnects:
    def test_if_all_drop_packets_it_is_a_timeout(self, swallows: Address) -> None:
        with pytest.raises(TimeoutError):
            dialled([swallows] * 3, timeout=0.1)

    def test_if_all_refuse_the_message_stands_once(self, refuses: Address) -> None:
        with pytest.raises(OSError, match="Connection refused") as caught:
            dialled([refuses] * 5)
        assert caught.value.errno == errno.ECONNREFUSED
        assert caught.value.strerror == "Connection refused"

    def test_if_they_fail_in_different_ways_each_message_stands(self, refuses: Address) -> None:
        odd: Address = (V6, socket.SOCK_STREAM, 0, "", ("ff02::1", 9, 0, 0))
        with pytest.raises(OSError, match=r".+ and Connection refused"):
            dialled([odd, refuses])

    def test_if_there_is_no_address(self) -> None:
        with pytest.raises(socket.gaierror, match="no address"):
            dialled([])

    def test_it_ends_at_once_if_the_check_raises(self, swallows: Address) -> None:
        def check() -> None:
            raise InterruptedError("enough")

        with pytest.raises(InterruptedError, match="enough"):
            dialled([swallows], timeout=3600, check=check)


def test_the_families_take_turns_from_the_first_on() -> None:
    def of(family: socket.AddressFamily, *numbers: int) -> list[Address]:
        return [(family, socket.SOCK_STREAM, 0, "", ("host", number)) for number in numbers]

    six, four = of(V6, 1, 2, 3, 4), of(V4, 5, 6)
    assert [one[4][1] for one in interleaved([*six, *four])] == [1, 5, 2, 6, 3, 4]
    assert [one[4][1] for one in interleaved([*four, *six])] == [5, 1, 6, 2, 3, 4]
    assert list(interleaved([])) == []
