"""`tenuto verify`: prove that a store holds what its invariants promise, or name what breaks them.

`facts` decodes what an audit reads, `histories`, `entries`, `relations`, `shards`, `clients` and `ledger` judge it as
pure functions, each one group of rules; `run` reads and reads again, because a live store is never one moment.
Nothing here writes, and nothing here is needed to run workflows.
"""
