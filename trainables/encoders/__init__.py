"""Encoders: the network whose capacity a study varies."""
