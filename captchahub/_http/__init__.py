"""Requests out, replies in: the only place that knows of sockets."""
