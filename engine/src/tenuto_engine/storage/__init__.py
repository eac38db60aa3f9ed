"""Drivers of the store port: one package per database, and `urls`, which chooses one by the state-store URL.

Drivers hold no policy: they compare what an operation tells them to compare, and write what it tells them to write.
They never import one another.
"""
