"""The hooks a plugin can implement."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from captchahub.provider import ProviderKind

PROJECT = "captchahub"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HookSpecs:
    """Every hook there is, with what it must return."""

    @hookspec
    def captchahub_provider_kinds(self) -> Iterable[ProviderKind[object]]:
        """The kinds of provider that this plugin adds.

        A plugin is found through the entry-point group ``captchahub``; the entry point's name is the name
        of the kind, so that only plugins which the configuration uses are ever imported.
        """
        raise NotImplementedError
