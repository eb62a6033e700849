"""``captchahub solve``."""
