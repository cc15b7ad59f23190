"""Continuous evaluation: changes are found, checked, measured once a maintainer agrees, reported, and published when merged.

What a change is and how far it has come is never kept here: the forge says the first, the records the second. A runner
that is killed therefore goes on where it was.
"""
