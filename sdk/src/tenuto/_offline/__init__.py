"""Recorded histories replayed against today's code, without an engine; and the same under changed surroundings.

Everything that decides about a replay is the worker's own (`tenuto._replay`); here it is only looked at.
"""
