"""Blanks: conditional moments in closed form, proper spread between draws, and nothing else touched."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.conditional import impute
from pushforward.conditional.impute import _Filler, follows
from pushforward.conditional.mixture import fit_mixture
from pushforward.errors import InputError
from pushforward.registry import build
from pushforward.spaces import Classes, Pixels, Real

from .tables import GAUSSIAN, conditional, fitted, gaussian_model, gaussian_rows, mixed_model, mixed_rows, moments
from .test_given import flow

NAN = math.nan


def test_a_gaussian_s_blanks_are_its_conditional_draws() -> None:
    model = gaussian_model()
    row = torch.tensor([[1.5, NAN, NAN], [NAN, 9.0, NAN], [1.0, 2.0, 3.0], [NAN, NAN, NAN]], dtype=torch.float64)
    found = impute(model, row, draws=4_000, seed=1)
    assert found.method == "exact" and bool(found.ess.isinf().all()) and found.draws.shape == (4_000, 4, 3)
    assert torch.equal(found.blanks, row.isnan())
    assert torch.equal(found.draws[:, ~row.isnan()], row[~row.isnan()].expand(4_000, -1))
    mean, covariance = moments(model)
    for i, known in ((0, [0]), (1, [1])):
        rest = [j for j in range(3) if j not in known]
        expected, spread = conditional(mean, covariance, known, row[i, known].numpy())
        x = found.draws[:, i, rest].numpy()
        np.testing.assert_array_less(np.abs(x.mean(0) - expected), 5 * np.sqrt(spread.diagonal() / 4_000))
        np.testing.assert_allclose(np.cov(x.T), spread, rtol=0.15, atol=0.1)  # what one best guess would not have
    np.testing.assert_allclose(found.draws[:, 3].mean(0), mean, atol=0.3)
    np.testing.assert_allclose(np.cov(found.draws[:, 3].T), covariance, rtol=0.15, atol=0.2)


def test_draws_are_independent_and_belong_to_rows() -> None:
    model = gaussian_model()
    x = gaussian_rows(300, seed=5)
    x[::2, 1] = NAN
    x[1::3, 2] = NAN
    found = impute(model, x, draws=2, seed=3)
    a, b = found.draws[0], found.draws[1]
    blank = found.blanks[:, 1]
    regression = conditional(*moments(model), [0, 2], [0, 0])[1]
    both = blank & ~found.blanks[:, 2]
    assert float((a - b)[both, 1].var()) == pytest.approx(2 * regression[0, 0], rel=0.35)
    assert torch.equal(impute(model, x, draws=2, seed=3).draws, found.draws)
    alone = impute(model, x[:100], draws=2, seed=3).draws
    torch.testing.assert_close(alone, found.draws[:, :100])
    assert not torch.equal(impute(model, x, draws=2, seed=4).draws, found.draws)


@pytest.mark.parametrize("name", ["gmm", "kde", "real-nvp", "gan"])
@pytest.mark.parametrize("missing", [True, False])
def test_every_blank_of_a_mixed_table_gets_a_value(name: str, missing: bool) -> None:
    model = mixed_model(name, missing)
    whole = mixed_rows(150, missing=False, seed=9)
    x = whole.masked_fill(torch.rand(whole.shape, generator=torch.Generator().manual_seed(1)) < 0.3, NAN)
    found = impute(model, x, seed=1)
    filled = found.draws[0]
    assert found.method == {"real-nvp": "importance", "gan": "approximate"}.get(name, "exact")
    assert not bool(filled.isnan().any()) and torch.equal(filled[~x.isnan()], x[~x.isnan()])
    assert torch.equal(model.space.check(filled), filled)
    # A grade follows from its level, known or filled, but where no row told: in a level that training never saw.
    grade, known = filled[:, 3], filled[:, 2] != 6
    assert torch.equal(grade[known], torch.tensor([NAN, 1, 1, 2, 2, 0], dtype=torch.float64)[filled[known, 2].long()])


def test_categories_with_clocks() -> None:
    """Rows with and without a known winner are worked on together and apart."""
    model = mixed_model("gmm", True, "argmax")
    x = mixed_rows(150, missing=False, seed=9)
    x[:120, [1, 3]] = NAN
    x[:, 6] = NAN
    found = impute(model, x, seed=1)
    assert not bool(found.draws.isnan().any()) and torch.equal(found.draws[0][~x.isnan()], x[~x.isnan()])
    share = np.bincount(found.draws[0, :120, 1].long(), minlength=4) / 120
    np.testing.assert_allclose(share, [0.12, 0.03, 0.06, 0.79], atol=0.15)


@pytest.mark.parametrize("categories", ["interval", "argmax"])
def test_conditional_frequencies_are_those_of_rejection(categories: str) -> None:
    model = mixed_model("gmm", True, categories)
    everything = model.sample(200_000, seed=3)
    chosen = (everything[:, 4] == 0) & (everything[:, 6] == 1) & (everything[:, 1] == 2)
    chosen &= ~everything[:, [0, 2, 3, 5]].isnan().any(1)
    among = everything[chosen]
    row = torch.tensor([[NAN, 2.0, NAN, NAN, 0.0, NAN, 1.0]], dtype=torch.float64)
    found = impute(model, row, draws=3_000, seed=1).draws[:, 0]
    assert len(among) > 800
    for j in (0, 2, 5):
        assert stats.ks_2samp(found[:, j], among[:, j]).pvalue > 1e-4
    a, b = (np.bincount(v[:, 3].long(), minlength=3) for v in (found, among))
    assert stats.chi2_contingency(np.stack([a, b])).pvalue > 1e-4


def test_a_flow_without_dependence_fills_from_the_column() -> None:
    model = flow()
    x = gaussian_rows(200, seed=5)
    x[:, 1] = NAN
    x[:50, 0] = NAN
    found = impute(model, x, draws=5, seed=1)
    assert found.method == "importance" and float(found.ess.median()) > 20
    b = found.draws[:, :, 1].flatten().numpy()
    train = gaussian_rows()[:, 1]
    assert b.mean() == pytest.approx(float(train.mean()), abs=5 * 2 / math.sqrt(1_000))
    assert b.std() == pytest.approx(float(train.std()), rel=0.1)
    assert abs(np.corrcoef(found.draws[0, 50:, 1], x[50:, 0])[0, 1]) < 0.3
    quick = impute(model, x, draws=5, seed=1, method="approximate")
    assert quick.method == "approximate" and quick.draws[:, :, 1].std() == pytest.approx(2, rel=0.25)


def test_where_candidates_are_poor_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted mistake: candidates of a mixture that is nowhere near the model."""
    far = fit_mixture(40 + 0.05 * torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), components=1)
    monkeypatch.setattr(sys.modules[_Filler.__module__], "stand_in", lambda *a, **k: far)
    x = gaussian_rows(20)
    x[:, 1] = NAN
    poor = impute(flow(), x, seed=1)
    assert float(poor.ess.max()) < 10 and any("fewer than 10" in note for note in poor.notes)


def test_values_beyond_the_data_and_broken_rules_are_no_obstacle() -> None:
    model = mixed_model("gmm", True)
    row = torch.tensor(
        [
            [150.0, NAN, 3.0, 0.0, 0.0, NAN, 1.0],  # older than anybody; a grade that does not follow from the level
            [-5.0, 1.0, NAN, 1.0, 1e5, 49.0, NAN],
            [40.0, NAN, 6.0, 2.0, 3.5, NAN, 0.0],
        ],
        dtype=torch.float64,
    )
    found = impute(model, row, draws=3, seed=0).draws
    assert not bool(found.isnan().any()) and torch.equal(found[0][~row.isnan()], row[~row.isnan()])
    assert set(found[:, 1, 2].tolist()) <= {1.0, 2.0, 6.0}
    pre = model.preprocess_data
    told = follows(pre, 3, torch.tensor([1.0, 5.0, 6.0, NAN], dtype=torch.float64))
    assert told[:2].tolist() == [1.0, 0.0] and bool(told[2:].isnan().all())


def test_rows_of_classes_and_of_vectors() -> None:
    x = gaussian_rows(1_500)
    c = (x[:, 1] > 5).long()
    model = fitted("gmm", x, GAUSSIAN, c, Classes(2), components=1, covariance="full")
    row = torch.full((400, 3), NAN, dtype=torch.float64)
    row[:, 0] = 0.0
    label = torch.arange(400) % 2
    b = impute(model, row, label, seed=1).draws[0, :, 1]
    assert float((b[label == 1] > 5).double().mean()) > 0.85 > 0.15 > float((b[label == 0] > 5).double().mean())
    with pytest.raises(InputError, match="conditional"):
        impute(model, row)
    vector = fitted("gmm", x, GAUSSIAN, x[:, 1:2], Real((1,), double=True), components=1, covariance="full")
    dose = torch.linspace(0, 10, 400, dtype=torch.float64)[:, None]
    b = impute(vector, row, dose, seed=1).draws[0, :, 1]
    torch.testing.assert_close(b, dose[:, 0], atol=0.1, rtol=0)


def test_refusals() -> None:
    x = torch.zeros(2, 3, dtype=torch.float64)
    with pytest.raises(InputError, match="tables"):
        impute(build("gmm", Pixels(1, 2, 2)), x)
    with pytest.raises(InputError, match="draws is 0"):
        impute(gaussian_model(), x, draws=0)
    with pytest.raises(InputError, match="Did you mean approximate"):
        impute(gaussian_model(), x, method="approximately")
    with pytest.raises(InputError, match="column 'b'"):
        impute(gaussian_model(), torch.tensor([[0.0, math.inf, 0.0]], dtype=torch.float64))
    untouched = impute(gaussian_model(), x)
    assert torch.equal(untouched.draws[0], x) and not bool(untouched.blanks.any())
