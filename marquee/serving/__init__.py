"""TorchServe on this machine: started, asked how it is, stopped.

In reading order: ``serve`` (the command), ``preflight``, ``envelope``, ``server`` and
``environment`` (the start), ``properties`` and ``javaproperties`` (its configuration),
``management`` and ``tokens`` (its management API), ``loads``, ``tracebacks``, ``wanting`` and
``lastwords`` (what failed, and why), ``readiness`` and ``watch`` (whether it is ready),
``status``, ``models`` and ``logs`` (what there is to see).
"""
