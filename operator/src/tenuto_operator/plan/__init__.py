"""From what is wanted and what is to what must be done: changes and conditions, decided and not carried out.

Pure. Whatever a plan needs to know of the world, the moment included, is in what was observed. A plan is level-based:
it looks at how things are, never at what happened, so it may be made anew at any time, after any failure, by anyone.
"""
