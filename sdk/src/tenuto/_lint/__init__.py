"""The determinism linter: reads workflow code, never imports it, and says what would differ in a replay.

A run has four steps. `project` finds modules, and `extract` turns each into facts that can be kept (`facts`, `cache`);
`graph` follows calls from the workflows to everything that runs in them, with activities as cut points; the rules look
at each function so found (`rule` says what a rule is, `view` what it sees); and `run` puts findings, chains and
suppressions together. Why it is built of facts and a call graph: docs/adr/0015.
"""
