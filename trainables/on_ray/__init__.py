"""Trials on Ray: the Tune trainable, and the Ray Train workers behind it."""
