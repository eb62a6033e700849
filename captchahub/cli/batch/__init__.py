"""``captchahub batch``."""
