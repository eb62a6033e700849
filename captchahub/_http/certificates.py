"""Which certificates to trust, and whether they can be used."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from captchahub._support.paths import expanded

# In bytes. The bundle that requests brings has 0.3 MB; a larger file is not read as a whole into memory.
_MAX_FILE = 16_000_000

# How OpenSSL names the certificates of a folder, and openssl rehash the links: the hash of the subject, and a
# number that distinguishes equal hashes.
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


@attrs.frozen
class Trust:
    """Certificates to trust, in a file and in folders; ``source`` is the key or variable that names them."""

    source: str
    file: Path | None = None
    folders: tuple[Path, ...] = ()

    @property
    def fault(self) -> str | None:
        """Why none of them can be used, and what to do, or None if they can."""
        places = self.folders if self.file is None else (self.file,)
        faults = [bundle_fault(place) for place in places]
        # One usable folder is enough: OpenSSL skips those that do not exist.
        if None in faults:
            return None
        named = " and ".join(f"{place}, which {why}" for place, why in zip(places, faults, strict=True))
        return f"{self.source} names {named}"


def named_trust(path: Path, source: str) -> Trust:
    """Return the certificates in a file or a folder; ``source`` is the key or variable that names it."""
    # Not Path.is_dir(), which raises PermissionError. bundle_fault() says what is wrong with a path.
    return Trust(source, folders=(path,)) if os.path.isdir(path) else Trust(source, path)  # noqa: PTH112 - see above


def environment_trust(environment: Mapping[str, str]) -> Trust | None:
    """Return the certificates that the environment names, or None.

    The variables of requests and curl, which name a file or a folder, take precedence over OpenSSL's.
    """
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if environment.get(variable):
            return named_trust(expanded(environment[variable]), f"the environment variable {variable}")
    file, folders = environment.get("SSL_CERT_FILE"), environment.get("SSL_CERT_DIR")
    if not file and not folders:
        return None
    variable = "SSL_CERT_FILE" if file else "SSL_CERT_DIR"
    return Trust(
        f"the environment variable {variable}",
        expanded(file) if file else None,
        tuple(expanded(folder) for folder in (folders or "").split(os.pathsep) if folder),
    )


def bundle_fault(path: Path) -> str | None:
    """Return why a file or folder has no usable certificates, and what to do, or None if it has.

    The words follow its name: "is empty; ...", "holds a key and no certificate; ...".
    """
    try:
        if path.is_dir():
            return _folder_fault(path)
        if not path.is_file():
            return f"{'is no file and no folder' if path.exists() else 'does not exist'}; check the path"
        return _file_fault(path)
    except OSError as error:
        return f"can't be read: {error.strerror}; check the path and the permissions"
    except ValueError:
        return "is no valid path"


def _folder_fault(path: Path) -> str | None:
    names = sorted(entry.name for entry in path.iterdir())
    hashed = [name for name in names if _HASHED.fullmatch(name)]
    if any(bundle_fault(path / name) is None for name in hashed):
        return None
    if any(bundle_fault(path / name) is None for name in names if name.endswith((".pem", ".crt"))):
        return f"has certificates, but not under the names that OpenSSL looks for; run: openssl rehash {path}"
    return "is a folder without certificates; name a PEM file, or a folder made by openssl rehash"


def _file_fault(path: Path) -> str | None:
    with path.open("rb") as file:
        data = file.read(_MAX_FILE + 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if len(data) <= _MAX_FILE:
        # OpenSSL says "unknown error" or "no start line" for all that _guesses() distinguishes.
        with suppress(ssl.SSLError):
            context.load_verify_locations(cafile=path)
            if context.cert_store_stats()["x509"]:
                return None
    return next(_guesses(data))


def _guesses(data: bytes) -> Iterator[str]:
    """Yield what a file without usable certificates may be, the most precise guess first.

    They never quote it, because it can be a private key.
    """
    if not data.strip():
        yield "is empty; write the certificates into it"
    if len(data) > _MAX_FILE:
        yield f"is larger than {_MAX_FILE} bytes; name a file that holds only certificates"
    if b"-----BEGIN CERTIFICATE-----" in data or b"-----BEGIN TRUSTED CERTIFICATE-----" in data:
        yield "holds a certificate that is damaged; get the file again"
    if b"ENCRYPTED" in data:
        yield "is encrypted and holds no certificate; name the file of the certificates, which are no secret"
    if b"PRIVATE KEY-----" in data:
        yield "holds a key and no certificate; name the file of the certificate"
    if data.startswith(b"\x30"):
        yield (
            "is in a binary form (DER, PKCS #12); convert it, for DER with: "
            "openssl x509 -inform der -in FILE -out ca.pem"
        )
    yield "holds no certificate; name a PEM file, with -----BEGIN CERTIFICATE----- in it"
