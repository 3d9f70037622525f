"""What was measured, as it is kept: a file of JSON that further rounds can be added to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One contender under one load, in one round.

    Attributes:
        round: counted over all runs of the record.
        contender, load: their names.
        rate: right answers a second.
        asked_rate: requests a second that were sent; 0 in a closed loop.
        p50_ms, p99_ms: of the time to an answer.
        cpu_s: CPU seconds of the server per 1000 answers.
        wrong, failed: answers.
        others: share of all cores that others kept busy meanwhile.
    """

    round: int
    contender: str
    load: str
    rate: float
    asked_rate: float
    p50_ms: float
    p99_ms: float
    cpu_s: float
    wrong: int
    failed: int
    others: float


@dataclass
class Record:
    """All samples of a comparison.

    Attributes:
        network: lenet or vgg11.
        taken: cores that were kept busy on purpose.
        machine, versions: in words.
        days: on which rounds were run.
        samples: as they came.
        resident_mb: memory of each contender, at the end.
        missing: why a contender is not there.
    """

    network: str
    taken: int
    machine: dict[str, str]
    versions: dict[str, str]
    days: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    resident_mb: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """How many there are."""
        return len({sample.round for sample in self.samples})

    def of(self, contender: str, load: str) -> list[Sample]:
        """Return the samples of a contender under a load, by round."""
        found = [each for each in self.samples if (each.contender, each.load) == (contender, load)]
        return sorted(found, key=lambda each: each.round)

    def join(self, more: Record) -> Record:
        """Return both, the rounds of ``more`` counted on.

        Raises:
            ValueError: they measured something else, or elsewhere; the message says what.
        """
        for name in ("network", "taken", "machine", "versions"):
            if getattr(self, name) != getattr(more, name):
                raise ValueError(
                    f"{name} was {getattr(self, name)} and is {getattr(more, name)}: "
                    "rounds of both are not one table; append to another file"
                )
        first = max((sample.round for sample in self.samples), default=-1) + 1
        moved = [Sample(**asdict(each) | {"round": first + each.round}) for each in more.samples]
        return Record(
            **{name: getattr(more, name) for name in ("network", "taken", "machine", "versions")},
            days=sorted({*self.days, *more.days}),
            samples=[*self.samples, *moved],
            resident_mb=self.resident_mb | more.resident_mb,
            missing=self.missing | more.missing,
        )

    def save(self, path: Path) -> None:
        """Write it, a sample a line."""
        whole = asdict(self)
        lines = ",\n  ".join(json.dumps(sample) for sample in whole.pop("samples"))
        head = json.dumps(whole, indent=1)[:-2]
        path.write_text(f'{head},\n "samples": [\n  {lines}\n ]\n}}\n')

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read one that was saved."""
        found = json.loads(path.read_text())
        samples = [Sample(**each) for each in found.pop("samples")]
        return cls(**found, samples=samples)
