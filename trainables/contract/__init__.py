"""The contract of arms, methods, encoders and data sets as a test: what trials rest on.

`points.run` checks the points that `arm.points`, `method.points`, `encoder.points` or
`dataset.points` list, for an object that ships with the tool or for a user's own.
"""
