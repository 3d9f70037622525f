"""Predictions and explanations of many files, from a running server.

In reading order: ``predict`` (several in flight), ``asker`` (one of them), ``places`` (where the
answers go), ``filetypes``.
"""
