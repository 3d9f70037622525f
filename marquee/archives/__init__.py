"""Archives: built, looked into, compared, and tried without a server.

In reading order: ``rooms`` (what there is to build), ``build`` and ``script`` (how), ``trial`` and
``golden`` (tried, and asked before it is stored), ``store`` (nothing twice), ``reader`` and
``listing`` (what lies there), ``inspection`` and ``safety`` (somebody else's).
"""
