"""Replay, explained for any real instance: what history holds, what a replay skips and why, what runs next.

`build` is pure: it reads an instance's state, history and stored records, and makes a `Trace`. `text` shows a trace on
a terminal, `page` as a self-contained HTML timeline. Nothing here runs user code: what the code asked for, and what
it was given, is what history says.
"""
