"""What runs in the container: ``python -m marquee.container serve`` or ``train``.

SageMaker's contracts for serving and training, with the variables and folders that AWS's own
PyTorch containers have; see docs/container.md.
"""
