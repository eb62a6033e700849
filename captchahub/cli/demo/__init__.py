"""``captchahub demo``."""
