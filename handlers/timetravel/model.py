"""Face ageing: two encoders and a generator between them.

Source: Y. Alaluf et al., "Only a Matter of Style: Age Transformation Using a Style-Based
Regression Model", SIGGRAPH 2021, arXiv:2102.02754. The module layout gives the same
state-dict keys as the published ``sam_ffhq_aging.pt``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from handlers.timetravel.decoder import Decoder, DecoderSizes
from handlers.timetravel.encoder import Encoder, EncoderSizes

# Starting points that the encoder's codes are added to.
ENCODED, AVERAGE, NOTHING = "encoded", "average", "nothing"


@dataclass(frozen=True)
class Sizes:
    """The parts' sizes, and what the age encoder's codes are added to.

    Attributes:
        encoder: of the encoder that sees the age.
        decoder: of the generator.
        pretrained_encoder: of the encoder that sees the face alone.
        start: ``encoded`` (the face's own codes and the average), ``average`` or ``nothing``.
    """

    encoder: EncoderSizes
    decoder: DecoderSizes
    pretrained_encoder: EncoderSizes
    start: str = ENCODED


class AgeingNetwork(nn.Module):
    """Shows a face at another age.

    Attributes:
        latent_avg: the average style, broadcastable to (N, styles, style_width); stored
            beside the state dict, not in it.
    """

    latent_avg: Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = Encoder(sizes.encoder)
        self.decoder = Decoder(sizes.decoder)
        self.pretrained_encoder = Encoder(sizes.pretrained_encoder)
        average = torch.zeros(sizes.decoder.style_width)
        self.register_buffer("latent_avg", average, persistent=False)

    @property
    def face_side(self) -> int:
        """Height and width of the faces that go in."""
        return self.sizes.encoder.side

    @property
    def picture_side(self) -> int:
        """Height and width of the pictures that come out."""
        return self.sizes.decoder.side

    def identity(self, faces: Tensor) -> Tensor:
        """Return what the codes of every age start from.

        Args:
            faces: (N, 3, face_side, face_side) RGB in [-1, 1].

        Returns:
            (N, styles, style_width), the same for all ages.
        """
        if self.sizes.start == ENCODED:
            codes: Tensor = self.pretrained_encoder(faces) + self.latent_avg
            return codes
        shape = (len(faces), self.sizes.decoder.styles, self.sizes.decoder.style_width)
        base = self.latent_avg if self.sizes.start == AVERAGE else faces.new_zeros(1)
        return base.expand(shape)

    def age(self, faces: Tensor, years: Tensor) -> Tensor:
        """Return what ages (N,) in years add to the codes of faces (N, 3, side, side)."""
        planes = (years.to(faces.dtype) / 100)[:, None, None, None]
        planes = planes.expand(-1, 1, *faces.shape[2:])
        codes: Tensor = self.encoder(torch.cat([faces, planes], dim=1))
        return codes

    def forward(self, faces: Tensor, years: Tensor) -> Tensor:
        """Show each face at an age.

        Args:
            faces: (N, 3, face_side, face_side) RGB in [-1, 1].
            years: (N,) ages.

        Returns:
            (N, 3, picture_side, picture_side) RGB, about [-1, 1], not clamped.
        """
        picture: Tensor = self.decoder(self.identity(faces) + self.age(faces, years))
        return picture
