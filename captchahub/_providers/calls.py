"""Calls to the plugin of a provider: each checks the result, masks secrets and names a plugin at fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from captchahub._policy.error_table import row_for
from captchahub._support.guard import foreign_errors
from captchahub._support.redaction import mask_error, secrets_in, tokens_in
from captchahub.errors import CaptchaHubError, NotOffered, PluginFault, ProviderError, TaskError
from captchahub.provider import Reply
from captchahub.settings import ProviderSettings

T = TypeVar("T")

_OF_JOBS = (ProviderError, TaskError)
"""What a plugin may raise in a call for a job."""

_OPTIONAL = (*_OF_JOBS, NotOffered)
"""What it may raise in a call that a service need not have."""


class PluginCaller:
    """Calls the methods of one provider's plugin object."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.secrets = tuple(secrets_in(settings.own))
        """The secrets of the provider's settings, to be masked in whatever is shown of it."""
        self._plugin = settings.plugin
        # A reply can repeat the token that it was sent with, and plugins quote replies.
        self._hidden = tokens_in(settings.own)

    def __call__(
        self, wanted: Any, method: Callable[..., T], *values: object, optional: bool = False, **named: object
    ) -> T:
        """Call a method of the plugin and return what it returns, an instance of ``wanted``.

        ``wanted`` is a type or several. ``optional`` is for a call that a service need not have, which may
        raise NotOffered. Anything else that the contract does not allow, raised or returned, becomes a
        :class:`~captchahub.errors.PluginFault`. Secrets that the service repeated, and the plugin with it,
        are masked.
        """
        try:
            made = method(*[self._masked(one) if isinstance(one, Reply) else one for one in values], **named)
        except foreign_errors() as error:
            mask_error(error, self.secrets)
            if is_of_contract(error, _OPTIONAL if optional else _OF_JOBS):
                raise
            fault = f"{method.__name__} with {type(error).__name__}"
            raise PluginFault(f"the plugin {self._plugin!r} failed in {fault}") from error
        if isinstance(made, wanted):
            return made
        raise PluginFault(
            f"the plugin {self._plugin!r} returned a {type(made).__name__} from {method.__name__}"
        )

    def _masked(self, reply: Reply) -> Reply:
        """Return a reply that does not quote the secrets that it was sent with."""
        return Reply(reply.status, reply.body, reply.headers, self._hidden)


def is_of_contract(error: BaseException, allowed: tuple[type[Exception], ...] = _OF_JOBS) -> bool:
    """Return whether a plugin may raise an error: one of ``allowed``, and not one of the engine's own."""
    return isinstance(error, allowed) and row_for(error).of_plugins


def as_provider_error(error: CaptchaHubError) -> ProviderError:
    """Return an error of a call to a service as one of the provider.

    A wrong setting of the transport, or a mistake in the task, says nothing about a job that exists already.
    """
    return error if isinstance(error, ProviderError) else ProviderError(str(error))
