"""How many searches judge a study."""

FEWEST_SEARCHES = 2
"""One search has no spread over searches, by which to judge it."""
