"""Measures Tenuto: real engine, real app, real stores, each a process of its own. `run.py` is the entry point.

`workloads` says what is measured, `app` is the measured app with its clients, `servers` starts processes, `meters`
reads what they used, `session` runs a store's workloads, `targets` and `report` turn figures into verdicts and tables.
"""
