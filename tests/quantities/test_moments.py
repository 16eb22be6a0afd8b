"""Moments against closed forms, NumPy and pandas; their errors against the spread over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward.errors import InputError
from pushforward.quantities import drawing, moments
from pushforward.spaces import Classes, Pixels, Real, Tokens
from pushforward.studies.rare_events import NAMES, known_model

from ..conditional.tables import fitted, gaussian_model, gaussian_rows, mixed_model
from ..conditional.tables import moments as closed_form


@pytest.mark.parametrize("name", NAMES)
def test_gaussians_within_five_standard_errors(name: str) -> None:
    known = known_model(name)
    found = moments(known.model, 20_000)
    mean = known.weights @ known.means
    apart = known.means - mean
    covariance = np.einsum("k,kij->ij", known.weights, known.covariances + apart[:, :, None] * apart[:, None])
    deviation = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(deviation, deviation)
    assert (np.abs(found.mean - mean) < 5 * found.mean_error).all()
    assert (np.abs(found.std - deviation) < 5 * found.std_error).all()
    assert (np.abs(found.covariance - covariance) < 5 * found.covariance_error).all()
    assert (np.abs(found.correlation - correlation) < 5 * found.correlation_error + 1e-12).all()
    assert found.n == 20_000 and found.names == ("x1", "x2", "x3") and not found.notes


def test_errors_of_gaussians_have_their_closed_forms() -> None:
    mean, covariance = closed_form(gaussian_model())
    n = 100_000
    found = moments(gaussian_model(), n)
    deviation = np.sqrt(np.diagonal(covariance))
    rho = covariance / np.outer(deviation, deviation)
    np.testing.assert_allclose(found.mean_error, deviation / n**0.5, rtol=0.03)
    np.testing.assert_allclose(found.std_error, deviation / (2 * n) ** 0.5, rtol=0.03)
    np.testing.assert_allclose(
        found.covariance_error, np.sqrt((np.outer(deviation, deviation) ** 2 + covariance**2) / n), rtol=0.03
    )
    np.testing.assert_allclose(found.correlation_error, (1 - rho**2) / n**0.5, rtol=0.04, atol=1e-12)
    assert (np.abs(found.mean - mean) < 5 * found.mean_error).all()


def test_the_same_numbers_as_numpy() -> None:
    model = gaussian_model()
    found = moments(model, 3_000, seed=5)
    (x,) = list(drawing.Draws.of(model, None, 5, {}).parts(3_000, 0))
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-10)
    np.testing.assert_allclose(found.std, x.std(0), rtol=1e-10)
    np.testing.assert_allclose(found.covariance, np.cov(x.T), rtol=1e-10)
    np.testing.assert_allclose(found.correlation, np.corrcoef(x.T), rtol=1e-10)


def test_missing_cells_are_left_out_in_pairs_as_pandas_does() -> None:
    model = mixed_model("gmm")
    found = moments(model, 5_000, seed=2)
    (x,) = list(drawing.Draws.of(model, None, 2, {}).parts(5_000, 0))
    frame = pd.DataFrame(x.numpy(), columns=model.space.names)[list(found.names)]
    assert found.names == ("age", "level", "gain", "score", "member")
    np.testing.assert_allclose(found.mean, frame.mean(), rtol=1e-10)
    np.testing.assert_allclose(found.std, frame.std(), rtol=1e-10)
    np.testing.assert_allclose(found.covariance, frame.cov(), rtol=1e-9)
    np.testing.assert_allclose(found.correlation, frame.corr(), rtol=1e-9)
    assert (np.diagonal(found.counts) == frame.notna().sum()).all()
    assert "city, grade" in found.notes[0] and "missing in up to" in found.notes[1]


def test_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums about any centre are the same moments."""
    whole = moments(gaussian_model(), 4_000, seed=1)
    monkeypatch.setattr(drawing, "_NUMBERS", 3 * 900)
    parts = moments(gaussian_model(), 4_000, seed=1)
    x = torch.cat(list(drawing.Draws.of(gaussian_model(), None, 1, {}).parts(4_000, 0)))
    np.testing.assert_allclose(parts.covariance, np.cov(x.T), rtol=1e-10)
    np.testing.assert_allclose(parts.mean, x.mean(0), rtol=1e-10)
    np.testing.assert_allclose(parts.covariance_error, whole.covariance_error, rtol=0.2)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    known = known_model("vae")
    truth = np.sqrt(known.covariances[0].diagonal())
    rho = known.covariances[0][0, 1] / truth[0] / truth[1]
    found = [moments(known.model, 500, seed=s) for s in range(200)]
    for inside in (
        [abs(m.mean[0] - known.means[0, 0]) < 1.96 * m.mean_error[0] for m in found],
        [abs(m.std[1] - truth[1]) < 1.96 * m.std_error[1] for m in found],
        [abs(m.covariance[0, 1] - known.covariances[0][0, 1]) < 1.96 * m.covariance_error[0, 1] for m in found],
        [abs(m.correlation[0, 1] - rho) < 1.96 * m.correlation_error[0, 1] for m in found],
    ):
        assert 0.95 - 3.3 * 0.0154 < np.mean(inside) <= 1.0


def test_conditions_are_honoured() -> None:
    x = gaussian_rows(3_000)
    model = fitted("gmm", x, Real((3,), double=True), (x[:, 0] > 1).long(), Classes(2, ("low", "high")), components=1)
    high = moments(model, 4_000, condition="high")
    assert high.mean[0] == pytest.approx(float(x[x[:, 0] > 1, 0].mean()), abs=0.05)
    both = moments(model, 20_000)
    assert both.mean[0] == pytest.approx(float(x[:, 0].mean()), abs=0.05)


def test_pictures_and_refusals() -> None:
    found = moments(pf.build("gmm", Pixels(1, 2, 3, 4)), 500)
    assert found.names[4] == "pixel[1,1]" and found.covariance.shape == (6, 6)
    with pytest.raises(InputError, match="up to 1,024"):
        moments(pf.build("gmm", Pixels(3, 30, 30)), 10)
    with pytest.raises(InputError, match="tokens are no numbers"):
        moments(pf.build("vae", Tokens(4, 5)), 10)
    with pytest.raises(InputError, match="unconditional"):
        moments(gaussian_model(), 10, condition=1)
    with pytest.raises(InputError, match="at least 2"):
        moments(gaussian_model(), 1)
    with pytest.raises(InputError, match="Known: temperature"):
        moments(pf.build("real-nvp", Real((2,))), 10, temperture=1)
    with pytest.raises(InputError, match="not of dict"):
        moments({}, 10)  # type: ignore[arg-type]
