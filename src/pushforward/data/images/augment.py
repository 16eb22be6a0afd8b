"""Augmentation of pictures: mirrored left and right, and moved by a few pixels, anew at each visit.

It belongs to training: validation and test pictures are never touched, so held-out losses stay comparable. What is
drawn is a pure function of the example's noise, so a resumed run sees the same pictures as one never interrupted.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...dataset import Dataset, Mapped
from ...errors import InputError
from ...noise import Noise
from ...spaces import Pixels, Space
from ..source import number

_STREAM = 5_000
"""Number of the call to the noise: apart from what preprocessing and players draw, which is thus the same with it."""

FEW = 500
"""Below so many training pictures, samples are expected to be near copies of them.

Diffusion models of faces repeat their training pictures below about 1,000 of them, and make new ones only from some
10,000 on (Kadkhodaie et al. 2024, arXiv:2310.02557, sec. 2): 500 is well within the first regime.
"""


def move(x: Tensor, mirrored: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Pictures (n, c, h, w), mirrored where (n,) says so, then moved by (n,) whole pixels; their edges are repeated."""
    n, c, h, w = x.shape
    lines = (torch.arange(h, device=x.device) - down[:, None]).clamp(0, h - 1)
    columns = (torch.arange(w, device=x.device) - right[:, None]).clamp(0, w - 1)
    columns = torch.where(mirrored[:, None], w - 1 - columns, columns)
    # Whole lines first, which is one copy a line, then the columns within each.
    start = torch.arange(n * c, device=x.device).view(n, c, 1) * h
    moved = x.reshape(n * c * h, w).index_select(0, (start + lines[:, None]).flatten()).view(n, c, h, w)
    return moved.gather(3, columns[:, None, None].expand(n, c, h, w))


class Augmented(Mapped):
    """`base` mirrored with probability 1/2 (`flip`), and moved by -shift..shift pixels along each axis, uniformly."""

    def __init__(self, base: Dataset, flip: bool, shift: int):
        super().__init__(base, self._augmented, base.space, base.condition_space)
        self.flip, self.shift = flip, shift

    def _augmented(self, x: Tensor, condition: Any, noise: Noise) -> tuple[Tensor, Any]:
        u = noise.at(_STREAM).uniform(3).to(x.device)
        mirrored = (u[:, 0] < 0.5) & self.flip
        down, right = ((u[:, 1:] * (2 * self.shift + 1)).long() - self.shift).unbind(1)
        return move(x, mirrored, down, right), condition

    def to(self, device: torch.device | str) -> Dataset:
        """The same pictures on another device."""
        return Augmented(self.base.to(device), self.flip, self.shift)

    def subset(self, index: Tensor) -> Dataset:
        """The pictures `index`, augmented as these."""
        return Augmented(self.base.subset(index), self.flip, self.shift)

    def conditions(self) -> Any:
        """The conditions of all pictures, or None."""
        return self.base.conditions()


def augment(data: Dataset, flip: bool = False, shift: int = 0) -> Dataset:
    """The pictures of `data`, mirrored and moved at random at each visit; `data` itself when neither is asked for.

    Raises:
        InputError: not pictures, or a shift that could move a picture out of its frame by half.
    """
    if not flip and not shift:
        return data
    name = "flip" if flip else "shift"
    space: Space = data.space
    if not isinstance(space, Pixels):
        raise InputError(f"{name}= is for pictures, and the data are {space.describe()}.", f"Leave it out ({name}).")
    most = max(0, (min(space.height, space.width) - 1) // 2)
    if shift > most:
        raise InputError(
            f"shift={shift} is too much for pictures of {space.height}x{space.width} pixels.", f"At most {most}."
        )
    return Augmented(data, flip, shift)


def account(data: Dataset, flip: bool, shift: int) -> list[str]:
    """What is done to the training pictures, and that few of them will be learned by heart, in plain words."""
    notes = []
    if flip or shift:
        parts = ["mirrored left and right at random"] if flip else []
        if shift:
            parts.append(f"moved by up to {number(shift, 'pixel')} (edges repeated)")
        how = " and ".join(parts)
        kept = "" if data.condition_space is None else "; their conditions are kept, even if they say left or right"
        notes.append(f"training pictures are {how}{kept}; validation and test pictures are as they are")
    if isinstance(data.space, Pixels) and len(data) < FEW:
        helps = "" if flip else "; flip=true helps where a mirror image is as good"
        notes.append(
            f"{number(len(data), 'training picture')}: fewer than {FEW}, so gan, ddpm and flow-matching will mostly "
            f"learn them by heart and give near copies; start with vae (smoother pictures, and a held-out bound that "
            f"shows when to stop){helps}"
        )
    return notes
