"""Replies read past the interim ones (1xx) that may come ahead of them, RFC 9110 section 15.2.

The standard library skips 100 only, and takes a 102 or a 103 for the reply.
"""

from __future__ import annotations

from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, parse_headers

__all__ = ["FinalResponse"]

# More interim replies than so many are no service at work; each has headers, which have a limit of their own.
_MOST = 100


class FinalResponse(HTTPResponse):
    """A response whose status is that of the reply itself, to a request as well as to a CONNECT.

    A 101 is final: nobody asked for another protocol. What follows it is not HTTP, so its connection ends.
    """

    def _read_status(self) -> tuple[str, int, str]:
        # Not in begin(), for the reply of a proxy to CONNECT is read without it.
        for _ in range(_MOST + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc] # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownVariableType]  # urllib3 uses it as well
            if not 100 <= status < 200 or status == HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason  # pyright: ignore[reportUnknownVariableType]  # as above
            parse_headers(self.fp)
        raise HTTPException(f"more than {_MOST} interim replies")

    def begin(self) -> None:
        """Read the status and the headers."""
        super().begin()
        if self.status == HTTPStatus.SWITCHING_PROTOCOLS:
            self.will_close = True
