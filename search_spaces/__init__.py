"""What may be varied: one search space for each method and arm, as data."""

from search_spaces.spaces import Space, narrow, own_parameters, parse_distribution, space

__all__ = ["Space", "narrow", "own_parameters", "parse_distribution", "space"]
