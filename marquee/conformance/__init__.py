"""What every handler must do, tried without a server: see :mod:`marquee.conformance.check`.

The checks run in a process of their own, ``python -m marquee.conformance``, in which the
archive's modules are imported.
"""
