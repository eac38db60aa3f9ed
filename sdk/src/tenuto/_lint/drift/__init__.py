"""Drift: today's workflows held against those of a git revision, by the shape of what they ask for.

`reading` turns code into a shape (`shape`), `comparing` aligns two of them, `drifting` says which differences running
instances would meet, `proposals` writes the patch for one. `revisions` reads a base from git, `program` says what names
mean in it, `view` is what the rules TEN281 to TEN285 see. Why it is built so: docs/adr/0018.
"""
