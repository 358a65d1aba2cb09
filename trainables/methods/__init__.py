"""Contrastive methods and their losses."""
