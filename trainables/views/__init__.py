"""Random views of image batches: parameters, geometry and colour."""
