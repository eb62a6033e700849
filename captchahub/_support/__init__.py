"""Tools that know nothing of captchas."""
