"""TorchServe on this machine: started, asked how it is, stopped.

In reading order: ``serve`` (the command), ``preflight``, ``server`` and ``environment`` (the
start), ``management`` and ``tokens`` (its management API), ``readiness`` and ``watch`` (whether it
is ready), ``status``, ``models`` and ``logs`` (what there is to see).
"""
