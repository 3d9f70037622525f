"""What runs in the container: ``python -m marquee.container serve`` or ``train``.

SageMaker's contracts for serving and training, with the variables and folders that AWS's own
PyTorch containers have; see docs/container.md. In reading order: ``variables`` and ``inherited``
(what the environment says), ``workspace`` (the project that is made), ``contents`` (what the model
folder holds), ``packages``, ``modelstore`` (what of it is stored), ``serve``; ``multimodel`` and
``control`` (models that come and go); ``job`` and ``train``.
"""
