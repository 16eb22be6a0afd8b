r"""What the two players of a GAN minimize: pure functions of the discriminator's logits.

With logits :math:`\ell`, :math:`D = \operatorname{sigmoid}(\ell)`, so that :math:`-\log D = \operatorname{softplus}
(-\ell)` and :math:`-\log(1 - D) = \operatorname{softplus}(\ell)`: finite, with the right gradient, for any logit. A
logarithm of a sigmoid would overflow.

Equations are those of Goodfellow et al. (2014), "Generative adversarial nets", arXiv:1406.2661.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    r""":math:`-\mathbb{E} \log D(x) - \mathbb{E} \log(1 - D(G(z)))` (eq. 1, its maximization over D), 0-dim.

    Its minimum over all functions is at :math:`D = p / (p + p_G)` (proposition 1); it is :math:`\log 4` when
    :math:`p_G = p`, where D is 1/2 everywhere.

    Args:
        real, fake: logits of data and of samples, of any shapes.
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def non_saturating(fake: Tensor) -> Tensor:
    r""":math:`-\mathbb{E} \log D(G(z))` (sec. 3, last paragraph), 0-dim; gradient :math:`-(1 - D)` a logit.

    The gradient is largest where the discriminator is sure that a sample is fake.
    """
    return F.softplus(-fake).mean()


def minimax(fake: Tensor) -> Tensor:
    r""":math:`\mathbb{E} \log(1 - D(G(z)))` (eq. 1, its minimization over G), 0-dim; gradient :math:`-D` a logit.

    The gradient vanishes where the discriminator is sure that a sample is fake: it saturates.
    """
    return -F.softplus(fake).mean()


GENERATOR: dict[str, Callable[[Tensor], Tensor]] = {"non-saturating": non_saturating, "minimax": minimax}
