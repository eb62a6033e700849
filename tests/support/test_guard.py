import asyncio

import pytest

from captchahub._support.guard import foreign_errors


class PanicException(BaseException):
    """The shape of what engines written in Rust raise."""


class Terminated(KeyboardInterrupt):
    """The shape of what a signal handler raises."""


def handled(error: BaseException) -> BaseException:
    try:
        raise error
    except foreign_errors() as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        PanicException(),
        SystemExit(),
        GeneratorExit(),
        asyncio.CancelledError(),
        BaseExceptionGroup("several", [PanicException()]),
    ],
)
def test_errors_of_foreign_code_are_handled(error: BaseException) -> None:
    assert handled(error) is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Terminated()])
def test_an_interrupt_passes(error: BaseException) -> None:
    with pytest.raises(KeyboardInterrupt):
        handled(error)


def test_an_interrupt_that_is_being_handled_does_not_count() -> None:
    error = ValueError()
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert handled(error) is error
