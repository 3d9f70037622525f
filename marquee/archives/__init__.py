"""Archives: built, looked into, compared, and tried without a server.

In reading order: ``rooms`` (what there is to build), ``build`` and ``script`` (how), ``normalise``
(the same bytes), ``store`` (nothing twice), ``dryrun`` and ``golden`` (tried, and asked before it
is stored), ``inspection``, ``safety`` and ``diff`` (somebody else's).
"""
