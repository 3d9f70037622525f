"""Predictions and explanations of many files, from a running server.

In reading order: ``predict`` (several in flight), ``modelclient`` (one of them), ``request`` (what
is sent), ``outputs`` (where the answers go).
"""
