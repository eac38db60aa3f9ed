"""Measures Tenuto: real engine, real app, real stores, each a process of its own. `run.py` is the entry point.

`workloads` says what is measured, `app` is the measured app with its clients, `servers` starts processes, `meters`
reads what they used, `session` runs a store's workloads, `handover` what engines cost that go and come, `ledger` what
the app `ledger_app` saw of it; `targets` and `report` turn figures into verdicts and tables.
"""
