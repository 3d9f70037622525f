"""One TorchServe on this machine: started, asked how it is, stopped.

In reading order: ``preflight``, ``envelope``, ``server`` and ``environment`` (the start),
``connection``, ``management``, ``inference`` and ``tokens`` (what it is asked), ``loads``,
``tracebacks``, ``wanting`` and ``lastwords`` (what failed, and why), ``readiness`` and ``watch``
(whether it is ready), ``models`` and ``logs`` (what there is to see).
"""
