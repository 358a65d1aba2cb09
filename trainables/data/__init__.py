"""Data sets: sources of labelled images, their splits, and the decoded cache."""
