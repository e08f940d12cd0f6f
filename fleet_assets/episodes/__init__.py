"""Episodes: stretches of time over which a condition holds for one vehicle."""
