r"""How fast a diffusion destroys data: the curve of :math:`\bar\alpha_k`, k = 0..T, in float64.

.. math:: x_k = \sqrt{\alpha_k}\, x_{k-1} + \sqrt{1 - \alpha_k}\, \varepsilon, \qquad
          \bar\alpha_k = \prod_{j \le k} \alpha_j, \qquad \bar\alpha_0 = 1 .

Everything is derived from :math:`\log \bar\alpha`, because :math:`1 - \bar\alpha` loses its digits at small k.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import InputError, did_you_mean


def linear(steps: int) -> Tensor:
    r""":math:`\log \bar\alpha` (T + 1,) of Ho et al. 2020, sec. 4: 1000 betas from 1e-4 to 0.02.

    Other T take the same curve at T points, so that the first and last signal-to-noise ratios do not depend on T
    (scaling the betas by 1000/T would pass 1 below T = 20).
    """
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    curve = torch.cat([torch.zeros(1, dtype=torch.float64), torch.log1p(-betas).cumsum(0)])
    at = torch.arange(steps + 1, dtype=torch.float64) * (1000 / steps)
    below = at.floor().clamp_max(999).long()
    return torch.lerp(curve[below], curve[below + 1], at - below)


def cosine(steps: int) -> Tensor:
    r""":math:`\log \bar\alpha` (T + 1,) of Nichol and Dhariwal 2021 (arXiv:2102.09672), eq. 17, s = 0.008.

    .. math:: \bar\alpha(u) = f(u) / f(0), \quad f(u) = \cos^2\!\left(\frac{u + s}{1 + s} \frac{\pi}{2}\right)

    Theirs reaches 0 at u = 1, where a prediction of the noise says nothing of the data, and they clip beta there.
    Here u ends a little earlier (0.994), where :math:`\bar\alpha` is 1e-4.
    """
    offset, smallest = 0.008, 1e-4
    first = offset / (1 + offset) * math.pi / 2
    last = math.acos(math.cos(first) * math.sqrt(smallest))
    angle = torch.linspace(first, last, steps + 1, dtype=torch.float64)
    curve = 2 * (angle.cos().log() - math.log(math.cos(first)))
    # The two cosines may differ in the last bit, by processor: a signal above 1 has no noise to take the root of.
    return curve - curve[0]


SCHEDULES: dict[str, Callable[[int], Tensor]] = {"linear": linear, "cosine": cosine}


class Schedule:
    r"""A named curve of :math:`\log \bar\alpha_k` over k = 0..T.

    Attributes:
        steps: T.
        log_alpha_bar: (T + 1,) float64, on the CPU. It is not a buffer: changing a model's precision must not
            change the process that it was trained on.

    Raises:
        InputError: an unknown name, or T < 1.
    """

    def __init__(self, name: str, steps: int):
        if name not in SCHEDULES:
            raise InputError(f"unknown schedule {name!r}.", did_you_mean(name, SCHEDULES))
        if steps < 1:
            raise InputError(f"a diffusion of {steps} steps.", "It needs at least 1.")
        self.steps = steps
        self.log_alpha_bar = SCHEDULES[name](steps)
        self._tables: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def at(self, k: Tensor | int, like: Tensor) -> Tensor:
        r""":math:`\log \bar\alpha_k` in float64: 0-dim for one k, or (n, 1, ..., 1) for k (n,), against `like`."""
        if isinstance(k, int):
            return self.log_alpha_bar[k]
        return self.log_alpha_bar.to(k.device)[k].view(-1, *[1] * (like.ndim - 1))

    def signal_and_noise(self, k: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        r""":math:`\sqrt{\bar\alpha_k}` and :math:`\sqrt{1 - \bar\alpha_k}`, (n, 1, ..., 1) in the precision of `like`.

        For training, where one lookup on the device is all that it takes.
        """
        place = (like.device, like.dtype)
        if place not in self._tables:
            log = self.log_alpha_bar
            table = torch.stack([(0.5 * log).exp(), (-torch.expm1(log)).sqrt()])
            self._tables[place] = table.to(like.dtype).to(like.device)
        signal, noise = self._tables[place][:, k].view(2, -1, *[1] * (like.ndim - 1)).unbind(0)
        return signal, noise

    def grid(self, steps: int | None) -> list[int]:
        """Step indices from T down to 0, evenly spaced: `steps` moves (None: all T). Both ends are included.

        Raises:
            InputError: not between 1 and T.
        """
        T = self.steps
        count = T if steps is None else steps
        if not 1 <= count <= T:
            raise InputError(f"steps is {steps}.", f"This model has 1 to {T} of them.")
        return [round(T * (count - i) / count) for i in range(count + 1)]
