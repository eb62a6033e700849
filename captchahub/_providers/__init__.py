"""The configured providers, and whether an attempt may start at one."""
