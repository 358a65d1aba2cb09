"""Where trials run by hand are kept, so that `mixco trial` and `mixco export` agree."""

RESULTS = "results/by-hand"
