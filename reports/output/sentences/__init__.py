"""Findings as sentences: what the numbers say, and what they cannot say."""
