"""Cameras for tests: real servers on loopback that misbehave when they are told to, and the clips they play."""
