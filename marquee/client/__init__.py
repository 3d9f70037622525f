"""Predictions and explanations of many files, from a running server.

In reading order: ``predict`` (several in flight), ``question`` (what is asked of each), ``asker``
(one of them), ``sending`` (what is sent), ``places`` (where the answers go).
"""
