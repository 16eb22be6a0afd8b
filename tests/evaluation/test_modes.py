from __future__ import annotations

import pytest
import torch

from pushforward.evaluation.modes import count_modes, perfect_share, ring_centres


def test_a_perfect_sampler_reaches_the_closed_form() -> None:
    # P(chi2_2 <= 9) = 1 - exp(-9/2)
    assert perfect_share(2, 3.0) == pytest.approx(1 - torch.exp(torch.tensor(-4.5)).item(), abs=1e-6)
    generator = torch.Generator().manual_seed(0)
    n = 200_000
    mode = torch.randint(8, (n,), generator=generator)
    x = ring_centres()[mode] + 0.05 * torch.randn(n, 2, generator=generator)
    found = count_modes(x, ring_centres(), 0.05)
    assert found.found == 8
    assert found.high_quality == pytest.approx(perfect_share(), abs=4 * (0.989 * 0.011 / n) ** 0.5)


def test_a_mode_needs_a_sample_within_three_deviations() -> None:
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    x = torch.tensor([[0.29, 0.0], [0.69, 0.0]])  # 2.9 deviations from the first mode, 3.1 from the second
    found = count_modes(x, centres, 0.1)
    assert (found.found, found.modes, found.high_quality) == (1, 2, 0.5)


def test_centres_are_those_of_the_built_in_ring() -> None:
    from pushforward.data.builtin.source import BUILTINS

    x, _, columns, _ = BUILTINS["ring"][0](8, 1e-6, 1000, 0)
    mode = torch.as_tensor(columns["mode"])
    torch.testing.assert_close(torch.as_tensor(x).double(), ring_centres()[mode], atol=1e-5, rtol=0)
