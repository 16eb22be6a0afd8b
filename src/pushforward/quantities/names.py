"""What an expression may name in a sample: columns, numbers of a vector, pixels; and their values in samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, did_you_mean
from ..spaces import Column, Pixels, Real, Space, Sphere, Table, Tokens, Torus

WHOLE = ("mean", "std", "sum")
"""Of a picture: over all its numbers."""
_SHOWN = 40


@dataclass(frozen=True)
class Named:
    """One number of a sample.

    Attributes:
        kind: "number" of the flattened sample, at `index`; or one of `WHOLE`.
        text: as it is shown. column: of a table, what its cells are.
    """

    text: str
    kind: str = "number"
    index: int = 0
    column: Column | None = None

    @property
    def is_number(self) -> bool:
        """Whether it can be calculated with: numbers, dates (in seconds), and false and true as 0 and 1."""
        return self.column is None or self.column.is_number or self.column.kind == "boolean"


class Names:
    """The names that samples of a space have.

    Args:
        space: of the samples. conditions: columns that the model is conditioned on, which are not among them.
    """

    def __init__(self, space: Space, conditions: Sequence[str] = ()):
        self.space, self.conditions = space, tuple(conditions)
        self.array = ""  # what an index is asked of: pixel[0, 3, 4]
        self.found: dict[str, Named] = {}
        if isinstance(space, Table):
            self.found = {c.name: Named(c.name, index=j, column=c) for j, c in enumerate(space.columns)}
        elif isinstance(space, Tokens):
            self.array = "token"
        elif isinstance(space, Pixels) or (isinstance(space, Real) and len(space.shape) != 1):
            self.array = "pixel"
            self.found = {name: Named(name, kind=name) for name in WHOLE}
        else:
            self.found = {name: Named(name, index=j) for j, name in enumerate(self._vector())}

    def _vector(self) -> list[str]:
        """Names of the numbers of a vector, an angle or a point of a sphere, as its samples are written."""
        space = self.space
        if isinstance(space, Sphere | Torus):
            from ..data.geometry import written

            return written(np.eye(1, space.shape[0]), space)[1]
        own = list(getattr(space, "names", ()))
        return own or _numbered(space.dimensions)

    def look_up(self, name: str) -> Named:
        """What `name` is. Numbers of a vector with names may be called x1, x2, ... too.

        Raises:
            InputError: nothing; with the nearest name.
        """
        if name in self.found:
            return self.found[name]
        if isinstance(self.space, Real) and name in (numbered := _numbered(len(self.found))) and not self.array:
            return list(self.found.values())[numbered.index(name)]
        if name in self.conditions:
            raise InputError(
                f"the model is conditioned on {name}: it is no part of what it generates.",
                f"Choose it with --condition {name}=VALUE.",
            )
        if name == self.array:
            raise InputError(f"{name} needs its indices.", self._example())
        if any(name in column.categories for column in getattr(self.space, "columns", ())):
            raise InputError(f"unknown column {name!r}.", f'It is a value: write it in quotes, "{name}".')
        raise InputError(f"unknown column {name!r}.", self._known(name))

    def _known(self, name: str) -> str:
        if not self.found:
            return self._example()
        hint = did_you_mean(name, self.found)
        if len(self.found) > _SHOWN:
            near, known = hint.partition(" Known:")[0], list(self.found)
            hint = near if near.startswith("Did you mean") else f"Known: {known[0]} to {known[-1]}."
        return f"{hint} {self._example()}".strip()

    def _example(self) -> str:
        if not self.array:
            return ""
        return f"Write {self.array}[{', '.join('0' * len(self.space.shape))}] for one of its numbers."

    def at(self, name: str, indices: Sequence[int]) -> Named:
        """`pixel[c, h, w]`, counted from 0; of one channel also `pixel[h, w]`. `token[i]`.

        Raises:
            InputError: another name; too few, too many or too large indices.
        """
        if name != self.array:
            raise InputError(
                f"{name} has no indices.", self._example() or "Only pixel[...] of pictures and token[...] have."
            )
        shape = self.space.shape
        full = [0, *indices] if len(indices) == len(shape) - 1 and shape[0] == 1 else list(indices)
        text = f"{name}[{','.join(map(str, indices))}]"
        if len(full) != len(shape) or any(not 0 <= i < size for i, size in zip(full, shape)):
            sizes = " x ".join(map(str, shape))
            raise InputError(f"{text} is outside: samples are {sizes}, counted from 0.", self._example())
        return Named(text, index=int(np.ravel_multi_index(full, shape)))

    def read(self, samples: Tensor, wanted: Sequence[Named]) -> Tensor:
        """Numbers (n, len(wanted)) of samples (n, *shape), float64; cells on a grid as the grid's, missing ones NaN."""
        space = self.space
        flat = samples.detach().cpu().flatten(1)
        if isinstance(space, Sphere | Torus):
            from ..data.geometry import written

            flat = torch.from_numpy(written(flat.numpy(), space)[0])
        parts = []
        for name in wanted:
            if name.kind == "number":
                x = flat[:, name.index].double()
                step = None if name.column is None or not name.column.is_number else name.column.step
                parts.append(x if step is None else _on_grid(x, step))
            else:
                x = flat.double()
                parts.append(x.mean(1) if name.kind == "mean" else x.std(1) if name.kind == "std" else x.sum(1))
        return torch.stack(parts, 1) if parts else torch.zeros(len(flat), 0, dtype=torch.float64)


def _numbered(d: int) -> list[str]:
    return [f"x{j + 1}" for j in range(d)]


def _on_grid(x: Tensor, step: float) -> Tensor:
    from ..data.tables.cells import on_grid

    return torch.from_numpy(on_grid(x.numpy(), step))
