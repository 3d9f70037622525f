"""Judge an ageing network on drawn people: the right age, the same person, the right picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from handlers.timetravel.ageing import AtOnce, show_ages
from handlers.timetravel.demo.portraits import Person, draw, random_person
from handlers.timetravel.model import AgeingNetwork

TARGETS = (25, 35, 55, 75)
# Ages that a painted face is compared with, to tell how old it looks.
SCALE = tuple(range(5, 100, 5))
LARGE = 256


@dataclass(frozen=True)
class Verdict:
    """How well people were aged.

    Attributes:
        psnr: of the painted faces against drawings of that person at that age, in dB.
        years: mean error of the age that a painted face looks like.
        recognised: share whose painted face is closest to their own drawing at that age.
    """

    psnr: float
    years: float
    recognised: float


def judge(network: AgeingNetwork, people: int, seed: int) -> Verdict:
    """Show ``people`` at four ages and compare with drawings; the more, the harder to recognise."""
    rng = np.random.default_rng(seed)
    persons = [random_person(rng) for _ in range(people)]
    faces = torch.stack([as_input(network, p, rng.uniform(0, 100)) for p in persons])
    years = torch.tensor(TARGETS, dtype=torch.float32).expand(people, -1)
    with torch.inference_mode():
        aged = show_ages(network, faces, years, AtOnce(16, 16)).float()
    side = network.picture_side
    drawings = torch.stack([_pictures(p, TARGETS, side) for p in persons])
    error = (aged - drawings).square().flatten(2).mean(2)  # (people, ages)
    looks = [_looks(person, faces, side) for person, faces in zip(persons, aged, strict=True)]
    distance = torch.cdist(aged.flatten(2).transpose(0, 1), drawings.flatten(2).transpose(0, 1))
    own = distance.argmin(2) == torch.arange(people)
    return Verdict(
        psnr=(10 * torch.log10(255**2 / error)).mean().item(),
        years=(torch.tensor(looks) - years).abs().mean().item(),
        recognised=own.float().mean().item(),
    )


def as_input(network: AgeingNetwork, person: Person, years: float) -> Tensor:
    """Return a drawing as the network sees it: (3, face_side, face_side) in [-1, 1]."""
    side = network.face_side
    small = draw(person, years, LARGE).resize((side, side), resample=2)  # bilinear
    return torch.from_numpy(np.array(small)).permute(2, 0, 1) / 127.5 - 1


def _pictures(person: Person, ages: tuple[int, ...], side: int) -> Tensor:
    """Return drawings (ages, side, side, 3), 0 to 255."""
    drawn = [np.asarray(draw(person, age, side)) for age in ages]
    return torch.from_numpy(np.stack(drawn)).float()


def _looks(person: Person, faces: Tensor, side: int) -> list[float]:
    """Return the age whose drawing of this person each face is closest to."""
    scale = _pictures(person, SCALE, side)
    nearest = torch.cdist(faces.flatten(1), scale.flatten(1)).argmin(1)
    return [float(SCALE[index]) for index in nearest.tolist()]
