"""One TorchServe on this machine: started, asked how it is, stopped.

In reading order: ``preflight`` (what is checked before), ``loaded`` (what it loads), ``server`` and
``java`` (the start and the end), ``connection``, ``management``, ``inference`` and ``tokens`` (what
it is asked), ``readiness`` (whether it can be used), ``loglines``, ``loads``, ``tracebacks`` and
``lastwords`` (what failed, and the reason), ``models``, ``logs``, ``exposure`` and ``curl`` (what
is shown of it).
"""
