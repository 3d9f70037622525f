"""The loads of the table: what is sent, by how many, how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """One column.

    Attributes:
        name: in records.
        picture: of bench.pictures.
        clients: of a closed loop; 0 for an open one.
        share: of the rate at SATURATED, for an open loop.
        portion: of the seconds that loads usually get.
    """

    name: str
    picture: str
    clients: int = 0
    share: float = 0.0
    portion: float = 1.0


SATURATED = "png-32"
LOADS = {
    load.name: load
    for load in (
        Load("png-1", "png", 1),
        Load("png-8", "png", 8, portion=0.5),
        Load("png-32", "png", 32, portion=0.5),
        Load("1080p-8", "1080p", 8, portion=0.5),
        Load("12mp-8", "12mp", 8),
        Load("open-50", "png", share=0.5, portion=0.4),
        Load("open-80", "png", share=0.8, portion=0.4),
    )
}
# A photo of 12 MP takes some servers seconds: it is asked for by name.
USUAL = [name for name in LOADS if name != "12mp-8"]
