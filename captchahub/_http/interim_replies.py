"""Reads past interim replies (1xx) to the final one, RFC 9110 section 15.2.

``http.client`` skips 100 only, and takes a 102 or a 103 for the reply.
"""

from __future__ import annotations

from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, parse_headers

# RFC 9110 sets no limit. http.client bounds the headers of each, but a server that sends interim replies for
# ever would otherwise hold the thread until the deadline.
_MAX_INTERIM = 100


class FinalResponse(HTTPResponse):
    """A response with the status of the final reply, to a request as well as to a CONNECT.

    A 101 counts as final: it was not asked for, and what follows it is not HTTP, so its connection closes.
    """

    def _read_status(self) -> tuple[str, int, str]:
        # This and not begin(), because http.client reads a proxy's reply to CONNECT without begin().
        for _ in range(_MAX_INTERIM + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc] # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownVariableType]  # urllib3 uses it as well
            if not 100 <= status < 200 or status == HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason  # pyright: ignore[reportUnknownVariableType]  # as above
            parse_headers(self.fp)
        raise HTTPException(f"more than {_MAX_INTERIM} interim replies")

    def begin(self) -> None:
        """Read the status and the headers."""
        super().begin()
        if self.status == HTTPStatus.SWITCHING_PROTOCOLS:
            self.will_close = True
