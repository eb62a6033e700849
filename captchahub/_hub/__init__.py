"""What Hub and AsyncHub share."""
