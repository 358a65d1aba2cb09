"""Measures of a machine with GPUs; `python -m benchmarks.gpu` takes all of them."""
