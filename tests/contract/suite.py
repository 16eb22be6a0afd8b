"""The contract, as checks. Each takes a case (or a model) and fails by an AssertionError; mutants must fail too."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pushforward import registry
from pushforward.errors import DensityUnavailable, InputError, Unsupported
from pushforward.families.adapted import Adapted
from pushforward.game import Batch
from pushforward.likelihood import LogProb
from pushforward.model import GenerativeModel
from pushforward.noise import Noise
from pushforward.spaces import Classes, Pixels, Real
from pushforward.training import Engine
from pushforward.training.records import Seat

from .cases import Case, fitted, scale

TOLERANCE = 1e-5  # of the data's scale


# ---------------------------------------------------------------------------------- helpers


def same(a: Tensor, b: Tensor) -> bool:
    """Equal to the bit, missing cells (NaN) in the same places."""
    return torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(0), b.nan_to_num(0))


def close(a: Tensor, b: Tensor, tolerance: float, what: str) -> None:
    """Equal to `tolerance` times the scale of `a`; integers equal, but for one in 200 on the edge of rounding."""
    assert a.shape == b.shape and a.dtype == b.dtype, what
    if a.is_floating_point():
        assert torch.equal(a.isnan(), b.isnan()), f"{what}: other cells are missing"
        a, b = a.nan_to_num(0.0), b.nan_to_num(0.0)
        worst = float((a.double() - b.double()).abs().max())
        assert worst <= tolerance * max(1.0, scale(a)), f"{what}: they differ by {worst:.2e}"
    else:
        unequal = float((a != b).double().mean())
        assert unequal <= 0.005, f"{what}: {unequal:.1%} differ"


def examples(case: Case, n: int = 6) -> tuple[Any, Any]:
    """n rows of the case's data (of its model, where there are no data), and their conditions."""
    data = case.data()
    if data is None:
        return fitted(case).sample(n, seed=11), None
    return data.all(limit=n)


def likelihood(model: GenerativeModel, x: Any, c: Any, **options: Any) -> LogProb | None:
    try:
        return model.log_prob(x, c, **options)
    except DensityUnavailable:
        return None


def adaptive(model: GenerativeModel) -> float:
    """Tolerance of an adaptive solver at its default, or `TOLERANCE`."""
    loose = {k: v for k, v in {**model.options, **model.density_options}.items() if k in ("tolerance", "rtol", "atol")}
    return max([TOLERANCE, *(10 * float(v) for v in loose.values() if isinstance(v, float))])


# ---------------------------------------------------------------------------------- sampling


def check_samples(case: Case) -> None:
    """Shape, dtype, range; the same for the same seed, others for another; the model's mode is left alone."""
    model = fitted(case)
    x = model.sample(7, seed=1)
    assert tuple(x.shape) == (7, *model.space.shape) and x.dtype == model.space.dtype
    model.space.check(x)
    assert same(x, model.sample(7, seed=1))
    assert not same(x, model.sample(7, seed=2))
    close(x[:3], model.sample(3, seed=1), adaptive(model), "the first samples depend on how many there are")
    model = copy.deepcopy(model).train()
    assert same(x, model.sample(7, seed=1)), "samples differ in training mode"
    assert all(m.training for m in model.modules())


def check_rows_are_independent(model: GenerativeModel) -> None:
    """Sample i is the same at any batch size."""
    whole = model.sample(8, seed=4, batch_size=64)
    for size in (1, 7):
        close(whole, model.sample(8, seed=4, batch_size=size), adaptive(model), f"batch size {size}")


def check_condition_frequencies(case: Case) -> None:
    """`sample(n)` of a conditional model draws its conditions from the training data."""
    model, data = copy.deepcopy(fitted(case)), case.data()
    assert model.condition_space is not None and data is not None
    seen: list[Tensor] = []

    def draw(noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        seen.append(condition)
        return torch.zeros(len(noise), *model.space.shape)

    model.draw = draw  # type: ignore[method-assign]
    n = 4000
    model.sample(n, seed=0)
    drawn, (_, given) = torch.cat(seen), data.all()
    if isinstance(model.condition_space, Classes):
        p = torch.bincount(given, minlength=model.condition_space.count) / len(given)
        q = torch.bincount(drawn, minlength=model.condition_space.count) / n
        assert bool(((p - q).abs() <= 5 * (p * (1 - p) / n).sqrt()).all()), (p, q)
    else:
        # Every drawn row is a training row, and each comes as often as it is in the data (repeats match each other).
        match = (drawn[:, None] == given[None].to(drawn)).flatten(2).all(2)
        assert bool(match.any(1).all())
        counts = match.double().sum(0)
        expected = (given[:, None] == given[None]).flatten(2).all(2).double().sum(0) * n / len(given)
        assert bool(((counts - expected).abs() < 6 * expected.sqrt()).all()), (counts, expected)


# ---------------------------------------------------------------------------------- likelihoods


def check_log_prob(case: Case) -> None:
    """(n,) finite nats with unit and kind, whatever the batch size; or a refusal that names who can."""
    model = fitted(case)
    x, c = examples(case)
    found = likelihood(model, x, c)
    if found is None:
        with pytest.raises(DensityUnavailable) as caught:
            model.log_prob(x, c)
        if case.recipe:
            assert caught.value.hint is not None
            assert any(name in caught.value.hint for name in ("real-nvp", "flow-matching", "vae"))
        return
    assert found.values.shape == (len(x),) and found.values.is_floating_point()
    assert bool(torch.isfinite(found.values).all())
    assert model.space.measure in found.unit and found.unit.startswith("nats")
    assert found.dimensions == model.space.dimensions
    if model.space.measure == "counting":
        assert float(found.values.max()) <= 0, "a probability above one"
    for size in (1, 4):
        other = model.log_prob(x, c, batch_size=size).values
        worst = float((other - found.values).abs().max())
        assert worst <= adaptive(model) * max(1.0, float(found.values.abs().max())), f"batch size {size}: {worst}"
    if case.recipe:
        taxonomy = registry.recipe(case.recipe).likelihood
        if isinstance(model.space, Real):
            allowed = {"exact density": {"exact"}, "estimate": {"estimate", "exact"}}
            bounds = {"lower bound", "estimate of a lower bound"}
            assert found.kind in allowed.get(taxonomy, bounds), (found.kind, taxonomy)
        else:
            assert taxonomy != "implicit"


def check_own_samples_are_likely(case: Case) -> None:
    r"""The model finds its samples likelier than the same ones drowned in noise.

    For integers the noise is uniform, and the order is a theorem: with :math:`U` uniform,
    :math:`E_p \log p = -H(p) \ge -\log |X| \ge E_U \log p`. Behind preprocessing the core is asked: a sample outside
    the range of pixels is clipped, and the density does not see that.
    """
    model = fitted(case)
    n = 64
    _, c = (None, None) if model.condition_space is None else examples(case, n)
    c = None if c is None else c[torch.arange(n) % len(c)]
    if isinstance(model, Adapted):
        if c is not None and model.preprocess_condition is not None:
            c = model.preprocess_condition(c, None)[0]
        model = model.core
    x = model.sample(n, c, seed=5)
    generator = torch.Generator().manual_seed(0)
    if isinstance(model.space, Pixels):
        worse = torch.randint(0, model.space.levels, x.shape, generator=generator).to(x.dtype)
    elif isinstance(model.space, Real):
        worse = x + 3 * x.std(0) * torch.randn(x.shape, generator=generator)
    else:
        return
    found = likelihood(model, x, c)
    if found is None:
        return
    gap = found.values - model.log_prob(worse, c).values
    assert float(gap.mean()) > -3 * float(gap.std()) / math.sqrt(n), f"own samples are less likely: {gap.mean():.3f}"


# ---------------------------------------------------------------------------------- codes


def check_codes(case: Case) -> None:
    """Codes have their space's shape; a code as large as the data is exact, and comes back as the data."""
    model = fitted(case)
    x, c = examples(case)
    if model.code_space is None:
        with pytest.raises(Unsupported):
            model.encode(x, c)
        return
    z = model.encode(x, c) if type(model).infer is not GenerativeModel.infer else None
    if z is None:  # codes that only decode (free codes of training examples)
        z = torch.zeros(4, *model.code_space.shape)
    assert tuple(z.shape[1:]) == model.code_space.shape
    model.code_space.check(z)
    for size in (1, 4):
        if type(model).infer is not GenerativeModel.infer:
            close(z, model.encode(x, c, batch_size=size), adaptive(model), f"codes at batch size {size}")
    try:
        y = model.decode(z, c)
    except Unsupported:
        return
    assert y.dtype == model.space.dtype and tuple(y.shape[1:]) == model.space.shape
    model.space.check(y)
    exact = isinstance(model.code_space, Real) and model.code_space.dimensions == model.space.dimensions
    if exact and case.recipe and registry.recipe(case.recipe).likelihood in ("exact density", "estimate"):
        if x.is_floating_point():
            close(x, y, 1e-3, "decode(encode(x))")
        else:
            assert int((x.long() - y.long()).abs().max()) <= 1, "decode(encode(x)) is off by more than one level"
    with pytest.raises(InputError):
        model.decode(z[:, :-1] if z.ndim > 1 else z[:, None], c)


# ---------------------------------------------------------------------------------- refusals


def _refused(call: Callable[[], Any], *mentions: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    for text in mentions:
        assert text in str(caught.value), f"{text!r} is not in: {caught.value}"


def check_refusals(case: Case) -> None:
    """Unknown options, wrong shapes, values and conditions are refused in a sentence that says what is allowed."""
    model = fitted(case)
    x, c = examples(case)
    _refused(lambda: model.sample(2, c, nonsense=1) if c is None else model.sample(2, nonsense=1), "nonsense")
    for option in model.options:
        _refused(lambda: model.sample(2, nonsense=1), option)
    _refused(lambda: model.sample(0))
    _refused(lambda: model.sample(-3))
    _refused(lambda: model.sample(2, batch_size=0))
    _refused(lambda: model.log_prob(x, c, nonsense=1), "nonsense", *model.density_options)
    _refused(lambda: model.log_prob(x[..., :-1], c), str(model.space.shape))
    bad = x.clone()
    if x.is_floating_point():
        bad[2] = math.nan
        _refused(lambda: model.log_prob(bad, c), "row 2")
    else:
        _refused(lambda: model.log_prob(x.long() + 1000, c), "row 0")
    if model.condition_space is None:
        _refused(lambda: model.sample(2, torch.zeros(2)), "unconditional")
        return
    _refused(lambda: model.log_prob(x), "conditional")
    _refused(lambda: model.sample(len(c) + 1, c))
    if isinstance(model.condition_space, Classes):
        _refused(lambda: model.sample(2, model.condition_space.count), "0 to")  # type: ignore[union-attr]
        _refused(lambda: model.sample(2, "A"), "a")
        assert same(model.sample(2, "b", seed=0), model.sample(2, torch.tensor([1, 1]), seed=0))
    else:
        _refused(lambda: model.sample(2, c[:2, :-1]), "shape")
        _refused(lambda: model.sample(2, c[:2] * math.nan), "row 0")


# ---------------------------------------------------------------------------------- players


def check_ownership(model: GenerativeModel) -> None:
    """Within a stage no parameter has two owners, and every trainable parameter has one in some stage."""
    ever: set[int] = set()
    for stage in model.stages():
        if stage.enter:
            stage.enter()
        owned = [id(p) for player in stage.players() for p in player.parameters() if p.requires_grad]
        assert len(owned) == len(set(owned)), f"stage {stage.name}: a parameter has two owners"
        ever.update(owned)
    orphans = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in ever]
    assert not orphans, f"nobody trains {orphans}"
    averaged = dict(model.averaged())
    own = dict(model.named_parameters())
    assert all(name in own and own[name] is p for name, p in averaged.items()), "averaged() names parameters otherwise"


class Watched(Engine):
    """An engine that notes which parameters each turn moved, and which had a gradient."""

    def _turn(self, stage: Any, seat: Seat, batch: Batch) -> None:
        names = {id(p): n for n, p in self.model.named_parameters()}
        before = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        super()._turn(stage, seat, batch)
        own = {names[id(p)] for p in seat.owned}
        moved = {n for n, p in self.model.named_parameters() if not torch.equal(p, before[n])}
        assert moved <= own, f"{seat.player.name} moved {sorted(moved - own)}"
        with_gradient = {names[id(p)] for p in seat.owned if p.grad is not None and bool((p.grad != 0).any())}
        self.__dict__.setdefault("reached", set()).update(with_gradient)


def check_gradients(case: Case) -> None:
    """Over a few rounds each player's gradient reaches all of its parameters, and its turns move no others."""
    model, data = case.build(), case.data()
    engine = Watched(model, data, case.settings())
    engine.play()
    missed = {n for n, p in model.named_parameters() if p.requires_grad} - engine.__dict__.get("reached", set())
    assert not missed, f"no gradient reached {sorted(missed)}"


# ---------------------------------------------------------------------------------- copies


def check_copies(case: Case) -> None:
    """A deep copy, and a new object with the same state, sample and score alike."""
    model = fitted(case)
    x, c = examples(case)
    new = case.build()
    new.load_state_dict(model.state_dict())
    expected, scores = model.sample(5, seed=2), likelihood(model, x, c)
    for other in (copy.deepcopy(model), new.eval()):
        assert same(other.sample(5, seed=2), expected)
        if scores is not None:
            assert torch.equal(other.log_prob(x, c).values, scores.values)


def check_double(case: Case) -> None:
    """In float64 everything works, and says the same."""
    model = copy.deepcopy(fitted(case)).double()
    x, c = examples(case)
    sample = model.sample(4, seed=2)
    model.space.check(sample)
    single = likelihood(fitted(case), x, c)
    if single is None:
        return
    x = x.double() if x.is_floating_point() else x
    double = model.log_prob(x, c).values
    assert bool(torch.isfinite(double).all())
    # Drawn numbers differ between precisions, so only what draws none must agree.
    if single.kind == "exact":
        worst = float((double - single.values).abs().max())
        assert worst <= 1e-3 * max(1.0, float(double.abs().max())), f"float64 differs by {worst}"


def check_batches(case: Case) -> None:
    """A player's losses are 0-dim tensors, the same for the same batch."""
    model, data = copy.deepcopy(fitted(case)), case.data()
    for stage in model.stages():
        if stage.enter:
            stage.enter()
        seen = stage.data(data) if data is not None else None
        x, c = (None, None) if seen is None else seen.all(limit=6)
        for player in stage.players():
            batch = Batch.of(torch.zeros(6) if x is None else x, c, seed=3).replace(x=x)
            batch = player.prepare(batch) if player.prepare else batch
            with torch.set_grad_enabled(player.optimizer is not None):
                torch.manual_seed(0)
                losses = player(batch)
            assert losses and all(v.shape == () and bool(torch.isfinite(v)) for v in losses.values())
