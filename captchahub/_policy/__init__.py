"""Every rule of the engine that needs no I/O."""
