"""The contract of arms, methods and encoders as a test: what must hold for trials to compare.

`points.run` checks the points that `arm.points`, `method.points` or `encoder.points` list, for an
object that ships with the tool or for a user's own.
"""
