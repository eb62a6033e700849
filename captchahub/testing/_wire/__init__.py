"""HTTP as the sandbox speaks it, and how it breaks."""
