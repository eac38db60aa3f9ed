"""The runtime guard: what the linter cannot prove is caught while a turn runs, and only then.

Three nets, told apart by what they can see:

* **calls of C functions by user code** (`profiling` before Python 3.12, `monitoring` from then on): clocks, random
  numbers, process facts. The function itself is seen, so aliases and `getattr` hide nothing;
* **calls of known Python functions** by user code (same modules): `uuid4`, `os.environ`, `Thread.start`;
* **audit events** (`audit`): files, sockets, processes, wherever below user code they happen, libraries included.

`catalog` says what is known of each call, `probes` finds the functions, `stacks` the user's line, `guard` decides.
What no call shows is not caught: the order of a set, the address in a default `repr`, a global variable that changed.
"""
