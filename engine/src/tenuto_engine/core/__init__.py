"""The pure core: what happened (`events`), what is asked (`actions`), what follows (`decide`, `apply`, `effects`).

No I/O, clock, randomness, logging or await lives here; time and ids arrive as arguments or are derived by hashing.
"""
