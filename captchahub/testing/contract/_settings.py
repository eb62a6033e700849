"""Checks of a plugin's settings, kinds and imports."""

from __future__ import annotations

import io
import pickle
from typing import Any

import attrs

from captchahub._support.field_docs import documented_fields
from captchahub.errors import CaptchaHubError, UnsupportedTask
from captchahub.provider import Provider, Secret
from captchahub.testing.contract._base import Checks
from captchahub.testing.contract._purity import client_imports
from captchahub.testing.contract._subject import UnknownTask, fail, location, skip

_MAX_INTERVAL = 60.0


class SettingsChecks(Checks):
    """Checks of every provider, of a service or in this process."""

    def test_the_settings_are_a_frozen_attrs_class(self) -> None:
        own: object = self.subject().load().own
        kind = type(own)
        if not attrs.has(kind):
            fail(f"{kind.__name__} is not an attrs class: decorate it with @attrs.frozen")
        for field in attrs.fields(kind)[:1]:
            try:
                setattr(own, field.name, getattr(own, field.name))
            except AttributeError:
                return
            fail(f"{kind.__name__}.{field.name} can be changed: decorate the class with @attrs.frozen")

    def test_the_settings_can_be_pickled_but_for_their_secrets(self) -> None:
        own: object = self.subject().load().own
        try:
            copy = _unpickle(_pickle(own))
        # Pickling runs the plugin's own code.
        except Exception as error:  # noqa: BLE001 - reported to the author
            fail(
                f"the settings can't be pickled: {error}; use only values that can be sent to another process"
            )
        if copy != own:
            fail("the settings differ after pickling: store nothing in them that is not a field")

    def test_every_setting_is_documented(self) -> None:
        kind = self.subject().kind.settings
        if not attrs.has(kind):
            skip("the settings are not an attrs class")
        named = documented_fields(kind)
        undocumented = [field.name for field in attrs.fields(kind) if field.name not in named]
        if undocumented:
            fail(
                f"{kind.__name__} does not document {', '.join(undocumented)}: "
                "write a docstring below each field"
            )

    def test_the_provider_names_the_kinds_it_takes(self) -> None:
        kinds = self.subject().build().kinds
        if type(kinds) is not frozenset or not kinds:
            example = 'kinds = frozenset({"image-to-text"})'
            fail(f"kinds is {kinds!r}: name at least one kind of task, as in {example}")
        tried = {task.kind for task in self.subject().tasks}
        missing = sorted(kinds - tried)
        if missing:
            fail(f"the checks have no task of kind {missing[0]!r}: add one to tasks")

    def test_a_task_of_an_unknown_kind_is_refused_as_unsupported(self) -> None:
        provider = self.subject().build()
        task = UnknownTask(self.subject().tasks[0].image)
        method = provider.create_job if isinstance(provider, Provider) else provider.solve
        try:
            method(task)
        except UnsupportedTask:
            return
        # Any other error is wrong.
        except Exception as error:  # noqa: BLE001 - reported to the author
            name = type(error).__name__
            fail(f"a task of an unknown kind raises {name}{location(error)}: raise UnsupportedTask instead")
        fail(f"{method.__name__} accepts a task of an unknown kind: raise UnsupportedTask for it")

    def test_the_pace_of_polling_is_a_sane_time(self) -> None:
        interval: Any = self.subject().remote().min_poll_interval
        is_number = isinstance(interval, (int, float)) and not isinstance(interval, bool)
        # A comparison with NaN is false, so this refuses it too.
        if not is_number or not 0 < interval <= _MAX_INTERVAL:
            fail(
                f"min_poll_interval is {interval!r}: set the minimum seconds between two polls, above 0 "
                "and up to 60"
            )
        wait: Any = self.subject().remote().min_first_poll_delay
        is_number = isinstance(wait, (int, float)) and not isinstance(wait, bool)
        if wait is not None and not (is_number and 0 < wait <= _MAX_INTERVAL):
            fail(
                f"min_first_poll_delay is {wait!r}: set the minimum seconds before the first poll, above 0 "
                "and up to 60, or None"
            )

    def test_the_options_that_are_sent_are_options_of_the_task(self) -> None:
        provider = self.subject().build()
        for task in self.subject().tasks:
            sent: Any = provider.sent_options(task)
            names = {sent} if isinstance(sent, str) else set(sent)
            unknown = sorted(names - set(task.options))
            if unknown:
                given = ", ".join(task.options) or "none"
                fail(
                    f"sent_options names {unknown[0]!r} for a {task.kind} task whose options are {given}: "
                    "name only options that the task was given"
                )

    def test_no_http_client_is_imported(self) -> None:
        subject = self.subject()
        found = client_imports([subject.kind.settings, subject.kind.build, type(subject.remote())])
        if found:
            file, line, name = found[0]
            fail(
                f"{file}:{line} imports {name}: a provider only translates, so leave the calls to the engine"
            )

    def test_an_engine_in_this_process_gives_solutions_or_errors_of_the_contract(self) -> None:
        engine = self.subject().build()
        if isinstance(engine, Provider):
            skip("this provider has a service, so it is no engine in this process")
        for task in self.subject().first_tasks():
            try:
                solution = engine.solve(task)
            except CaptchaHubError:
                continue
            # The engine is the plugin's own code and can fail in any way.
            except Exception as error:  # noqa: BLE001 - reported to the author
                name = type(error).__name__
                fail(f"solve raises {name} for a {task.kind} task{location(error)}: raise a ProviderError")
            if not task.is_answered_by(solution):
                wanted, got = task.solution_type.__name__, type(solution).__name__
                fail(f"solve answers a {task.kind} task with a {got}: return a {wanted}")


class _Pickler(pickle.Pickler):
    # A Secret refuses to be pickled. It is passed as an external object, so that the rest can be checked.
    def persistent_id(self, value: object) -> object:
        return value.reveal() if isinstance(value, Secret) else None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: object) -> Secret:
        return Secret(str(pid))


def _pickle(value: object) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()


def _unpickle(data: bytes) -> object:
    value: object = _Unpickler(io.BytesIO(data)).load()
    return value
