"""From what is wanted to one fresh manifest each, and from a pod to the patch that gives it an engine.

Pure: nothing given is changed, and the same input makes the same output, so that a plan can compare.
"""
