"""``captchahub sandbox``."""
