"""The command line `tenuto`: what a client can do, for people and scripts.

Results go to standard output, everything else to standard error. Each command ends with one of `exits.Exit`.
"""
