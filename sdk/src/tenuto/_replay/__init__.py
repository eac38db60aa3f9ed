"""Replay: a workflow function and its history in, the actions it asks for out.

Pure and deterministic: no I/O, clock, randomness, threads or event loop. Generators and coroutines are stepped by hand.
"""
