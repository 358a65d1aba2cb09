"""A study on Ray: the driver, and all that it needs of a cluster."""
