"""How an encoder is scored: kNN, linear probes, geometry of its features."""
