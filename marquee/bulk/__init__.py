"""``marquee batch``: many files through an archive's own handler, without a server.

In reading order: ``batch`` (all of it), ``inputs``, ``column`` and ``s3`` (what is asked, listed as
it is needed), ``run`` and ``feed`` (who asks what when), ``results`` (the table that a killed run
goes on from), ``process`` (a worker from outside), ``worker`` (from inside), ``items`` (what goes
between them), ``cluster`` (workers on Ray's nodes).
"""
