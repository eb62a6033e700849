"""Checks the required packages; imported before everything else of the library.

A file of the user that has the name of one, such as ``requests.py``, would otherwise fail in odd ways.
"""

from __future__ import annotations

from captchahub._support.shadowing import refuse_shadows

refuse_shadows(("attr", "attrs", "cattrs", "pluggy", "requests", "urllib3", "yaml"))
