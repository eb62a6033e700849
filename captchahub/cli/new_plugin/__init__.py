"""``captchahub new-plugin``."""
