"""``captchahub report``."""
