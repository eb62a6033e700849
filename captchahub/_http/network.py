"""Through which proxy, and with which certificates, this machine reaches the services.

The environment and the certificates are read once for all providers of a hub, because that takes longer than
many requests, and again after a reload.
"""

from __future__ import annotations

import os
import ssl
import threading
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH, should_bypass_proxies
from urllib3.util import create_urllib3_context

from captchahub._http.certificates import Trust, environment_trust, named_trust
from captchahub._http.origins import Origin
from captchahub._http.proxies import Proxy, environment_proxy
from captchahub.errors import ConfigError
from captchahub.settings import HttpSettings


class Network:
    """What the environment and the settings say of proxies and certificates. For any thread.

    The methods block while they read files.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reading = object()
        """Another object after each :meth:`read_again`: what was made before that is out of date."""
        self._contexts: dict[Trust, ssl.SSLContext] = {}
        self._environment: tuple[Proxy | None, Trust] | None = None

    def read_again(self) -> None:
        """Read the environment and the certificates again when they are next needed."""
        with self._lock:
            self.reading = object()
            self._contexts = {}
            self._environment = None

    def proxy_for(self, origin: Origin, settings: HttpSettings) -> Proxy | None:
        """Return the proxy that requests to a server go through, or None.

        Raises :class:`~captchahub.errors.ConfigError` if its address is invalid.
        """
        # Requests to this machine may be in clear text, and a proxy would see their token.
        if origin.is_this_machine:
            return None
        if settings.proxy:
            proxy: Proxy | None = Proxy(settings.proxy, "the key proxy of the provider")
        elif should_bypass_proxies(origin.url, no_proxy=None):
            proxy = None
        else:
            with self._lock:
                proxy, _ = self._read_environment()
        if proxy is not None and proxy.fault is not None:
            raise ConfigError(proxy.fault)
        return proxy

    def tls_context(self, settings: HttpSettings) -> ssl.SSLContext:
        """Return the TLS context of a provider: one for all connections that trust the same certificates.

        Raises :class:`~captchahub.errors.ConfigError` if the certificates can't be used.
        """
        with self._lock:
            return self._context(self._trust_of(settings))

    def _trust_of(self, settings: HttpSettings) -> Trust:
        if settings.ca_bundle is not None:
            return named_trust(settings.ca_bundle, "the key ca_bundle of the provider")
        return self._read_environment()[1]

    def _read_environment(self) -> tuple[Proxy | None, Trust]:
        if self._environment is None:
            trust = environment_trust(os.environ) or Trust("requests", Path(DEFAULT_CA_BUNDLE_PATH))
            self._environment = environment_proxy("https"), trust
        return self._environment

    def _context(self, trust: Trust) -> ssl.SSLContext:
        if trust not in self._contexts:
            self._contexts[trust] = _context_of(trust)
        return self._contexts[trust]


def _context_of(trust: Trust) -> ssl.SSLContext:
    context = create_urllib3_context()
    # OpenSSL takes several folders as one text.
    folders = os.pathsep.join(map(str, trust.folders)) or None
    # A file is read again only to say what is wrong with it, because to read the usual one takes 20 ms.
    try:
        context.load_verify_locations(trust.file, folders)
    except (OSError, ValueError) as error:
        raise ConfigError(trust.fault or f"{trust.source} can't be used: {error}") from error
    # What is in a folder is not loaded before it is needed.
    if not context.cert_store_stats()["x509"] and trust.fault is not None:
        raise ConfigError(trust.fault)
    return context
