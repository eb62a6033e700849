"""References to the system's keyring, against a real backend that keeps its entries in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from captchahub.config import load_mapping
from captchahub.errors import ConfigError
from captchahub.provider import Secret


class Memory(KeyringBackend):
    priority = 1.0  # pyright: ignore[reportAssignmentType]  # as its page says to write it

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # its own gap
        self.entries: dict[tuple[str, str], Any] = {}
        self.is_locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.is_locked:
            raise KeyringLocked("tok-7 is locked")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


@pytest.fixture
def memory() -> Iterator[Memory]:
    before = keyring.get_keyring()
    memory = Memory()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


def token(reference: str) -> object:
    mapping = {"providers": {"omo": {"plugin": "omocaptcha", "api_token": reference}}}
    own = load_mapping(mapping).providers["omo"].own
    return getattr(own, "api_token", None)


def problem_line(reference: str) -> str:
    with pytest.raises(ConfigError) as caught:
        token(reference)
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.usefixtures("memory")
def test_an_entry_is_read_by_its_service_and_user() -> None:
    keyring.set_password("omocaptcha", "me", "tok-7")
    keyring.set_password("https://omo.example/api", "me", "tok-8")
    assert token("${keyring:omocaptcha/me}") == Secret("tok-7")
    # The last '/' is the one between them.
    assert token("${keyring:https://omo.example/api/me}") == Secret("tok-8")


def test_no_such_entry_is_reported_with_the_command_that_stores_it(memory: Memory) -> None:
    stores = "providers.omo.api_token: ${keyring:omo captcha/me} is not there; store it with: keyring set "
    assert problem_line("${keyring:omo captcha/me}") == f"{stores}'omo captcha' me"
    memory.entries["omo", "me"] = ""
    assert "${keyring:omo/me} is empty; store it with: keyring set omo me" in problem_line(
        "${keyring:omo/me}"
    )


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("reference", ["${keyring:omo}", "${keyring:}", "${keyring:omo/}", "${keyring:/me}"])
def test_half_a_name_is_reported(reference: str) -> None:
    assert "names no entry; write ${keyring:SERVICE/USER}" in problem_line(reference)


@pytest.mark.parametrize("stored", [b"tok-9", bytearray(b"tok-9"), "tok-9".encode("utf-8-sig")])
def test_a_backend_that_gives_bytes_is_read(memory: Memory, stored: object) -> None:
    memory.entries["omo", "me"] = stored
    assert token("${keyring:omo/me}") == Secret("tok-9")


@pytest.mark.parametrize(
    ("stored", "reason"), [(b"tok\xff", "is not UTF-8 text"), (7, "is a int and no text"), (b"", "is empty")]
)
def test_what_is_no_text_is_reported(memory: Memory, stored: object, reason: str) -> None:
    memory.entries["omo", "me"] = stored
    assert f"${{keyring:omo/me}} {reason}" in problem_line("${keyring:omo/me}")


def test_a_locked_keyring_is_reported_without_the_backends_words(memory: Memory) -> None:
    memory.is_locked = True
    line = problem_line("${keyring:omo/me}")
    assert "can't be read (KeyringLocked); unlock the keyring" in line
    assert "tok-7" not in line


@pytest.mark.usefixtures("memory")
def test_a_machine_without_a_keyring_is_reported() -> None:
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]  # its own gap
    assert "finds no keyring on this machine; install a backend" in problem_line("${keyring:omo/me}")


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Python does if a package is not installed.
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "needs the package keyring: pip install 'captchahub[keyring]'" in problem_line("${keyring:omo/me}")


def test_a_script_of_the_user_with_the_name_of_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keyring.py").write_text("raise RuntimeError('it is imported')")
    monkeypatch.syspath_prepend(str(tmp_path))  # pyright: ignore[reportUnknownMemberType]  # pytest's gap
    monkeypatch.delitem(sys.modules, "keyring")
    line = problem_line("${keyring:omo/me}")
    assert f"the package keyring, and {tmp_path / 'keyring.py'} is imported instead: rename" in line
