"""C++ kernels for training on a CPU, and their Python wrappers."""
