"""A body is split into values, in whichever format it is written."""

from __future__ import annotations

import pytest

from captchahub.testing._documents import read_document

BODIES = [
    (b'{"job": {"id": 7}, "list": [1, "two"]}', 7, b'{"job": {"id": "new"}, "list": [1, "two"]}'),
    (b'<a x="1"><job>7</job><job>8</job></a>', "7", b'<a x="1"><job>new</job><job>8</job></a>'),
    (b"state=done&text=a+b", "a b", b"state=done&text=new"),
    (b"OK|x7kp2", "x7kp2", b"OK|new"),
    (b"\x01\x00\x00\x00\x05x7kp2", "x7kp2", b"\x01\x00\x00\x00\x03new"),
    (b"\x00\x07", 7, b"new"),
]


@pytest.mark.parametrize(("body", "value", "changed"), BODIES)
def test_one_value_is_changed_and_the_rest_stays(body: bytes, value: object, changed: bytes) -> None:
    document = read_document(body)
    place = next(place for place, found in document.values() if found == value)
    assert document.changed(place, "new") == changed
    assert document.changed(place, value) == body.replace(b"&text=a b", b"&text=a+b")


@pytest.mark.parametrize("body", [body for body, _, _ in BODIES])
def test_one_value_is_left_out(body: bytes) -> None:
    document = read_document(body)
    for place, _ in document.values():
        assert len(document.without(place)) < len(body)


@pytest.mark.parametrize(
    "body", [*(body for body, _, _ in BODIES), b"", b"<a>", b"&", b"%", b"=", b"\xff", b"\x00"]
)
@pytest.mark.parametrize("value", [None, True, -1, 10**400, "\ud800", "a\x00&<|=", [{}], {"a": None}])
def test_any_value_can_be_put_anywhere(body: bytes, value: object) -> None:
    document = read_document(body)
    for place, _ in document.values():
        assert isinstance(document.changed(place, value), bytes)
    assert all(isinstance(other, bytes) for other in document.distortions())
