"""What may be varied: one search space for each method and arm, as data."""
