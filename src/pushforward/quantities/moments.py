r"""Means, standard deviations, covariances and correlations under a model, with standard errors.

With central moments :math:`m_{ab} = \mathrm{E}(x - \mu_x)^a (y - \mu_y)^b`, by the delta method (Kendall and Stuart,
"The Advanced Theory of Statistics" vol. 1, ch. 10):

.. math::

    n \operatorname{Var}(s_x) &= (m_{40} - m_{20}^2) / 4 m_{20}, \qquad
    n \operatorname{Var}(c_{xy}) = m_{22} - m_{11}^2, \\
    n \operatorname{Var}(r) &= m_{22} - r (m_{31} + m_{13}) + r^2 (m_{40} + 2 m_{22} + m_{04}) / 4
    \quad \text{(of standardized numbers)}.

Nothing is assumed to be Gaussian.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..model import GenerativeModel
from ..spaces import Table
from .drawing import Draws, Log, check_n
from .estimates import Moments
from .names import Named, Names

_MOST = 1_024
_PAIRS = ("n", "x", "xx", "xy", "xxyy", "xxxy", "xxxx")


@torch.no_grad()
def moments(
    model: GenerativeModel,
    n: int | None = None,
    *,
    condition: Any = None,
    seed: int = 0,
    log: Log = lambda text: None,
    **options: Any,
) -> Moments:
    """Mean, std, covariance and correlation of the numbers of a sample, each with standard errors.

    Of tables: columns of numbers, of dates (in seconds since 1970-01-01) and of false and true (0 and 1); pairs of
    columns are compared where both cells are there. Of pictures: every number, up to 1,024.

    >>> import pushforward as pf
    >>> pf.moments(pf.build("gmm", pf.Real((2,))), n=10_000).names
    ('x1', 'x2')

    Args:
        n: samples; None: 100,000, and fewer of large pictures. condition: one, of a conditional model; None: as often
            as in the data. options: of the model's sampling.

    Raises:
        InputError: samples without numbers, or with too many; what `sample` refuses.
    """
    draws = Draws.of(model, condition, seed, options, log)
    n = check_n(n, model)
    names = Names(model.space)
    wanted, notes = _wanted(names, model)
    sums: dict[str, Tensor] = {}
    centre = torch.zeros(len(wanted), dtype=torch.float64)
    for k, x in enumerate(draws.parts(n, 0)):
        cells = names.read(x, wanted)
        if k == 0:  # moments of the fourth order are taken about the mean of the first part: digits are kept
            centre = cells.nanmean(0).nan_to_num(0.0)
        for name, part in _sums(cells - centre).items():
            sums[name] = sums[name] + part if name in sums else part
    if bool((gone := n - sums["n"].diagonal()).any()):
        worst = int(gone.argmax())
        notes.append(f"cells are missing in up to {float(gone[worst]) / n:.0%} of the samples ({wanted[worst].text})")
    return _account(tuple(w.text for w in wanted), centre, sums, n, notes)


def _wanted(names: Names, model: GenerativeModel) -> tuple[list[Named], list[str]]:
    """The numbers that have moments, and what was left out."""
    space = model.space
    if names.array == "token":
        raise InputError("tokens are no numbers: they have no moments.", 'Ask for probabilities: "token[0] == 5".')
    if names.array:
        if space.dimensions > _MOST:
            raise InputError(
                f"a sample has {space.dimensions:,} numbers: moments are given for up to {_MOST:,}.",
                'Ask for expectations: "pixel[0,3,4]", "mean".',
            )
        shape = space.shape if space.shape[0] > 1 else space.shape[1:]
        found = [names.at("pixel", [int(i) for i in index]) for index in np.ndindex(*shape)]
        return found, []
    found = [name for name in names.found.values() if name.is_number]
    left = [name.text for name in names.found.values() if not name.is_number]
    if not found:
        raise InputError("no column of this table is a number.", "Ask for probabilities of its values.")
    if len(found) > _MOST:
        raise InputError(f"a sample has {len(found):,} numbers: moments are given for up to {_MOST:,}.")
    notes = [f"no numbers, and left out: {', '.join(left[:12])}{', ...' if len(left) > 12 else ''}"] if left else []
    if isinstance(space, Table) and (dates := [w.text for w in found if w.column and w.column.kind == "datetime"]):
        notes.append(f"in seconds since 1970-01-01: {', '.join(dates)}")
    return found, notes


def _sums(x: Tensor) -> dict[str, Tensor]:
    """Sums (d, d) over rows x (n, d) in which both numbers are there; row i is about x_i where y_j is there."""
    there = ~x.isnan()
    full = bool(there.all())
    mask = there.double()
    x = x.nan_to_num(0.0)

    def of(a: Tensor, b: Tensor | None) -> Tensor:
        if b is not None:
            return a.T @ b
        return a.sum(0)[:, None].expand(-1, a.shape[1]).clone() if full else a.T @ mask

    square = x.square()
    parts = [
        of(mask, None), of(x, None), of(square, None), of(x, x), of(square, square), of(square * x, x),
        of(square.square(), None),
    ]  # fmt: skip
    return dict(zip(_PAIRS, parts))


def _account(names: tuple[str, ...], centre: Tensor, sums: dict[str, Tensor], n: int, notes: list[str]) -> Moments:
    count = sums["n"]
    mean = {k: v / count for k, v in sums.items()}
    freedom = count / (count - 1)
    shift = mean["x"].diagonal()
    covariance = (mean["xy"] - mean["x"] * mean["x"].T) * freedom
    # Of x where y is there: what correlations are standardized by.
    variance = (mean["xx"] - mean["x"].square()) * freedom
    std = covariance.diagonal().clamp_min(0.0).sqrt()
    scale = (variance * variance.T).clamp_min(0.0).sqrt()
    correlation = torch.where(scale > 0, covariance / scale, torch.nan).clamp(-1.0, 1.0)
    fourth = mean["xxxx"] / variance.square()
    both = mean["xxyy"] / scale.square()
    third = mean["xxxy"] / (variance * scale)
    spread = both - correlation * (third + third.T) + correlation.square() * (fourth + 2 * both + fourth.T) / 4
    correlation_error = torch.where(correlation.isnan(), torch.nan, spread.clamp_min(0.0).sqrt() / count.sqrt())
    own = count.diagonal()
    std_error = (mean["xxxx"].diagonal() - std**4).clamp_min(0.0).sqrt() / (2 * std * own.sqrt())
    arrays = {
        "mean": centre + shift,
        "mean_error": std / own.sqrt(),
        "std": std,
        "std_error": torch.where(std > 0, std_error, 0.0),
        "covariance": covariance,
        "covariance_error": (mean["xxyy"] - covariance.square()).clamp_min(0.0).sqrt() / count.sqrt(),
        "correlation": correlation,
        "correlation_error": correlation_error.fill_diagonal_(0.0),
        "counts": count,
    }  # fmt: skip
    return Moments(names, n=n, notes=tuple(notes), **{k: v.numpy() for k, v in arrays.items()})
