"""Imported before everything else of the library: what it needs must not be hidden by a file of the user."""

from captchahub._shadows import refuse_shadows

refuse_shadows(("attr", "attrs", "cattrs", "pluggy", "requests", "urllib3", "yaml"))
