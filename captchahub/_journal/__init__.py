"""Jobs and money on SQLite."""
