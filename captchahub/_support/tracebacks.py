"""Errors without their frames, which would keep the picture and the request alive."""

from __future__ import annotations

import traceback

from captchahub._support.redaction import chain_of
from captchahub.errors import PluginFault

__all__ = ["let_go"]


def let_go(error: BaseException) -> None:
    """Keep nothing of an error that is over: where it was raised from a variable, its frames are a cycle."""
    error.__traceback__ = None


def forget_frames(error: BaseException) -> None:
    """Let go of the frames that led to an error, which would keep the picture and the request with them.

    Where those of a plugin's fault were stays as a note: nobody would find it otherwise.
    """
    for link in chain_of(error):
        trace, link.__traceback__ = link.__traceback__, None
        if isinstance(error, PluginFault) and link is error.__cause__ and trace is not None:
            # The first frame is ours.
            where = "".join(traceback.format_tb(trace.tb_next)).rstrip()
            if where not in getattr(link, "__notes__", ()):
                link.add_note(where)
