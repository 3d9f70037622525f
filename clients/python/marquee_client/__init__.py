"""Ask the models of a marquee server: pictures and arrays in; pictures, arrays and dicts out.

>>> from marquee_client import Client
>>> with Client("http://127.0.0.1:8080", key="...") as client:
...     client.predict("cifar", "ship.png", top_k=3)
"""

from marquee_client._answers import Answer, ModelStatus
from marquee_client._asynchronous import AsyncClient
from marquee_client._client import Client
from marquee_client._errors import Refused, ServerError, TimedOut, Unreachable

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "ModelStatus",
    "Refused",
    "ServerError",
    "TimedOut",
    "Unreachable",
]
