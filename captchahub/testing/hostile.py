"""Whatever a server can send, to try on a plugin whether its readers are total.

It needs ``hypothesis``, which no extra of captchahub brings. A test is as short as this one::

    @given(reply=replies(REAL_ANSWERS, keys=["error", "job_id"], words=["success", TOKEN]))
    def test_any_reply_is_read_or_refused(reply):
        check_reading(lambda: provider.read_balance(reply), TOKEN)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from hypothesis import strategies as st

from captchahub.errors import ProviderError
from captchahub.provider import Created, Reply, Solved

__all__ = ["check_reading", "headers", "replies", "what_is_shown"]

_STATUSES = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 408, 422, 429, 500, 503]) | st.integers(
    0, 999
)
_HEADER_VALUES = st.text(st.characters(max_codepoint=255), max_size=30)
_DATES = st.tuples(
    st.sampled_from(["Mon, ", "", "Xyz, "]),
    st.integers(-5, 99999999999),
    st.sampled_from([" Nov ", " Foo ", " "]),
    st.integers(0, 10**12),
    st.sampled_from([" 10:00:00 GMT", " 99:99:99 +9999999999", " 1", ""]),
).map(lambda parts: "".join(map(str, parts)))
_PLACES = st.sampled_from(["https://other.example/x", "//", "/login", "http://[", "http://[x]/"])


def replies(
    real: Sequence[Mapping[str, object]], *, keys: Sequence[str], words: Sequence[str]
) -> st.SearchStrategy[Reply]:
    """Any reply: real ones with one thing wrong, objects with any values in them, bytes of every kind.

    ``real`` are answers as the service gives them, ``keys`` and ``words`` the names and values that mean
    something in its dialect; the account's token should be among the words.
    """
    values = _values(keys, words)
    answers = st.dictionaries(st.sampled_from(keys), values, max_size=6)
    digits = [f'{{"{key}":{"9" * 5000}}}'.encode() for key in keys]
    bodies = (
        _damaged(real, keys, values)
        | answers.map(_packed)
        | values.map(_packed)
        | st.binary(max_size=200)
        # Deeper than any parser's stack, and more digits than Python reads.
        | st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, *digits])
    )
    return st.builds(Reply, _STATUSES, bodies, headers())


def headers() -> st.SearchStrategy[dict[str, str]]:
    """Any headers, and often the two that are read."""
    known = st.fixed_dictionaries(
        {}, optional={"Retry-After": _HEADER_VALUES | _DATES, "Location": _HEADER_VALUES | _PLACES}
    )
    others = st.dictionaries(st.text(max_size=10), _HEADER_VALUES, max_size=3)
    return st.tuples(others, known).map(lambda both: both[0] | both[1])


def what_is_shown(read: Callable[[], object]) -> str:
    """All that a person or a log could see of reading a reply, but for a solution: that may be any text.

    Raises what ``read`` raises that is no ProviderError.
    """
    try:
        value = read()
    except ProviderError as error:
        # A chain of causes is printed with the error.
        return f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"
    if isinstance(value, Created):
        return repr((value.job_id, value.cost))
    return repr(value.cost) if isinstance(value, Solved) else repr(value)


def check_reading(read: Callable[[], object], token: str) -> None:
    """Nothing where reading gives a value or a ProviderError that a log can take, without the token.

    Raises AssertionError where the token or a control character is shown, and whatever else ``read`` raises.
    """
    shown = what_is_shown(read)
    if token.lower() in shown.lower():
        raise AssertionError("the token shows in what was read, or in the error")
    if not shown.isprintable():
        raise AssertionError(f"not fit for a log: {shown!r}")


def _values(keys: Sequence[str], words: Sequence[str]) -> st.SearchStrategy[object]:
    """Any JSON value, and often one that looks like an answer."""
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=20)
        | st.sampled_from([*words, "1e999999999", "\ud800"])
        | st.sampled_from([10**400, -(10**30), 2**63, 0, 1]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(keys) | st.text(max_size=5), inner, max_size=5)
        ),
        max_leaves=12,
    )


@st.composite
def _damaged(
    draw: st.DrawFn,
    real: Sequence[Mapping[str, object]],
    keys: Sequence[str],
    values: st.SearchStrategy[object],
) -> bytes:
    """The body of a real answer with one field changed, lost or added, or with its bytes damaged."""
    answer = dict(draw(st.sampled_from(real)))
    key = draw(st.sampled_from([*answer, *keys]))
    if draw(st.booleans()):
        answer[key] = draw(values)
    else:
        answer.pop(key, None)
    body = _packed(answer)
    if draw(st.booleans()):
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(max_size=3)) + body[at + draw(st.integers(0, 3)) :]
    return body


def _packed(value: object) -> bytes:
    return json.dumps(value).encode()
