"""One solve, from a task to a result or an error."""
