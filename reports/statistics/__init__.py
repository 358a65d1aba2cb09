"""Statistics of gain against capacity: from data frame to data frame."""
