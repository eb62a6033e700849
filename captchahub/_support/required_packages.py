"""Imported before everything else of the library: what it needs must not be hidden by a file of the user."""

from __future__ import annotations

from captchahub._support.shadowing import refuse_shadows

refuse_shadows(("attr", "attrs", "cattrs", "pluggy", "requests", "urllib3", "yaml"))
