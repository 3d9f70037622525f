"""The OpenAPI document of a server, made from what its models say of themselves.

In reading order: ``document`` (the whole), ``served`` (what the models say, or their archives),
``operations`` (a model's paths), ``bodies`` and ``parameters`` (what they take), ``failures`` (what
they give besides answers).
"""
