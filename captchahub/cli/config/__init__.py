"""``captchahub config``: check, show, schema, init."""
