"""Removes the frames from errors, because their variables hold the picture and the request."""

from __future__ import annotations

import traceback

from captchahub._support.redaction import chain_of
from captchahub.errors import PluginFault


def drop_traceback(error: BaseException) -> None:
    """Remove the frames of an error that is over: one that a variable holds is in a cycle with its frame."""
    error.__traceback__ = None


def forget_frames(error: BaseException) -> None:
    """Remove the frames that led to an error that a caller will keep.

    Those of a plugin's fault become a note first: without them the fault would be hard to find.
    """
    for link in chain_of(error):
        trace, link.__traceback__ = link.__traceback__, None
        if isinstance(error, PluginFault) and link is error.__cause__ and trace is not None:
            # Without the first frame, which is the library's.
            where = "".join(traceback.format_tb(trace.tb_next)).rstrip()
            if where not in getattr(link, "__notes__", ()):
                link.add_note(where)
