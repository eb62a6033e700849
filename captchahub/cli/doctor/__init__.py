"""``captchahub doctor``."""
