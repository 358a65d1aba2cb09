"""Arms: how images are mixed."""
