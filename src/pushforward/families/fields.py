"""A field network with its condition: what diffusion and flow matching train, and guidance at sampling time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from ..config import NetworkSettings
from ..errors import InputError
from ..nn import ConditionEmbedding
from ..nn import field as build_field
from ..noise import Noise
from ..spaces import Space


class ConditionalField(nn.Module):
    """(x (n, *shape), t (n,) in [0, 1], embedding) to (n, *shape), with the embedding of the condition.

    Args:
        shape: of one example.
        network: sizes of the built network.
        condition_space: or None.
        condition_features: size of the embedding.
        condition_dropout: probability with which a row's condition is hidden in training; above 0 the field also
            learns to do without one, which guidance needs.
        field: your own module instead, called as field(x, t, embedding), or field(x, t) when unconditional.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        network: NetworkSettings,
        condition_space: Space | None,
        condition_features: int,
        condition_dropout: float,
        field: nn.Module | None = None,
    ):
        super().__init__()
        features = condition_features if condition_space else 0
        self.shape = shape
        self.embedding = ConditionEmbedding(condition_space, features, condition_dropout) if condition_space else None
        self.field = field if field is not None else build_field(shape, network, features)

    def context(self, condition: Any, n: int, noise: Noise | None = None) -> tuple[Tensor, ...]:
        """What `forward` takes after x and t: (embedding,), or () for an unconditional field.

        `condition` None asks for the unconditional field. `noise` hides conditions, in training mode.
        """
        return () if self.embedding is None else (self.embedding(condition, n, noise),)

    def forward(self, x: Tensor, t: Tensor, *context: Tensor) -> Tensor:
        out: Tensor = self.field(x, t, *context)
        if tuple(out.shape[1:]) != self.shape:
            raise InputError(
                f"the field gives shape {tuple(out.shape)} for {tuple(x.shape)}.", "It must keep the shape of x."
            )
        return out.to(x.dtype)  # bf16 ends here

    def guided(self, condition: Any, n: int, scale: float) -> tuple[Callable[..., Tensor], Sequence[Tensor]]:
        """A field with classifier-free guidance, and its context: `field(x, t, *context)`.

        .. math:: u + s\\,(c - u)

        with c and u the fields with and without the condition (Ho and Salimans 2022, arXiv:2207.12598, whose w is
        s - 1). s = 1 is no guidance, s = 0 no condition.

        Raises:
            InputError: s is not 1 and there is no condition, or the model was trained without condition dropout.
        """
        context = self.context(condition, n)
        if scale == 1:
            return self, context
        if self.embedding is None or condition is None:
            raise InputError(f"guidance={scale} needs a condition.", "Only a conditional model can be guided.")
        if self.embedding.null is None:
            raise InputError(
                f"guidance={scale} needs a model that also learned to do without its condition.",
                "Fit with --set condition_dropout=0.1.",
            )

        def field(x: Tensor, t: Tensor, embedding: Tensor, null: Tensor) -> Tensor:
            without = self(x, t, null)
            return without + scale * (self(x, t, embedding) - without)

        return field, (*context, *self.context(None, n))
