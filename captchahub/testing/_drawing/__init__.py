"""How the pictures of the sandbox are drawn."""
