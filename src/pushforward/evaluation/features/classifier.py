"""What a classifier of the user's own classes looks at: the last layer but one of a small network.

It is trained on the training split alone, from a seed, on one thread, with a fixed number of steps: twice the same
training gives the same weights. How often it is right on the test rows is part of the name, because the features are
worth no more than that.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ...data import Data
from ...dataset import Dataset, batch_rows
from ...errors import InputError
from ...noise import Noise, mix_seed
from .labels import Labels, find_labels
from .maps import Map, block_of, capped, digest, in_blocks, is_picture, plain, spread, training_rows
from .networks import Layers, inputs, one_thread, weights
from .pca import flat, principal
from .tables import encoded
from .vectors import moments

WIDTH = 64
"""Units of the last layer but one."""

BATCH = 128
MOST_STEPS, FEWEST_STEPS = 700, 150
_EPOCHS = 25
_RATE, _WARM = 2e-3, 50
_BUDGET = 10**9
"""Multiplications of the forward passes of one example in each batch: some 40 seconds of one slow core in all."""

_LARGE = Layers(((32, 5, 2), (64, 3, 2), (64, 3, 2)), (WIDTH,))
_SMALL = Layers(((16, 3, 1), (32, 3, 2), (64, 3, 2)), (WIDTH,))
_VECTORS = Layers((), (128, WIDTH))
_TESTED = 10_000


def classifier(
    data: Data, n: int | None = None, seed: int = 0, column: str | None = None
) -> tuple[str, Map, Callable[[Tensor], Tensor], int]:
    """The id ("classifier(98.1%)"), the map, the probabilities of the classes, and their number.

    The features are the 64 ReLUs before the last layer, each standardized by training rows; with fewer than 1,280
    samples to compare, the first n/20 principal components of these, and the id says so ("classifier(98.1%,pca9)").

    Args:
        n: samples that will be compared. seed: of weights and batches. column: of the labels.

    Raises:
        InputError: no labels (see `find_labels`), or fewer than two classes of them in the training split.
    """
    labels = find_labels(data, column)
    kept = (labels.train >= 0).nonzero()[:, 0]
    if len(labels.train[kept].unique()) < 2:
        raise InputError(
            f"features 'classifier': the training split has fewer than two classes of {labels.name}.",
            "Use other features, or give more rows.",
        )
    enter, shape, entered, network, block = _entrance(data, n, labels)
    seed = mix_seed(seed, 91)
    parameters = _train(plain(data.train), labels, kept, enter, shape, network, seed)
    body, head = parameters[:-2], parameters[-2:]

    def units(x: Tensor) -> Tensor:
        return network.apply(body, enter(x))

    def probabilities(x: Tensor) -> Tensor:
        return F.linear(units(x), *head).double().softmax(1)

    accuracy, tested = _accuracy(data.test, labels, probabilities, block)
    kind = "convolutional network" if network.convolutions else "network"
    about = (
        f"the {WIDTH} units before the last layer of a small {kind} trained to tell the {labels.count} classes of "
        f"{labels.name!r} on the training split ({accuracy:.1%} right on {tested:,} test rows"
        f"{'' if labels.column is None else f'; {labels.name} itself is not an input'})"
    )
    raw = Map(WIDTH, about, digest("classifier/1", entered, *parameters), units, block)
    k = capped(WIDTH, n)
    made = _scaled(data, raw, k)
    reduced = "" if k == WIDTH else f",pca{made.dimension}"
    return f"classifier({accuracy:.1%}{reduced})", made, probabilities, labels.count


def _entrance(
    data: Data, n: int | None, labels: Labels
) -> tuple[Callable[[Tensor], Tensor], tuple[int, ...], str, Layers, int]:
    """How examples become inputs, their shape, the hash of that, the layers, and the size of a block."""
    if is_picture(data.space):
        enter = inputs(data.space, training_rows(data, 1000))
        layers = _LARGE if max(enter.shape[1:]) >= 16 else _SMALL
        entered = digest(data.space.to_json(), enter.shift, enter.scale)
        return enter, enter.shape, entered, layers, min(256, block_of(data.space.dimensions))
    base = flat(data, n) if labels.column is None else encoded(data, n, without=labels.column)
    return lambda x: base.apply(x).float(), (base.dimension,), base.hash, _VECTORS, base.block


def _train(
    train: Dataset,
    labels: Labels,
    kept: Tensor,
    enter: Callable[[Tensor], Tensor],
    shape: tuple[int, ...],
    network: Layers,
    seed: int,
) -> list[Tensor]:
    """Cross-entropy by Adam with a cosine schedule, on the rows `kept`. All that is drawn comes from the seed."""
    parameters = network.draw(seed, shape)
    parameters += [weights(seed, 50, labels.count, network.dense[-1]) * 0.1, torch.zeros(labels.count)]
    with torch.inference_mode(False), torch.enable_grad(), one_thread():
        parameters = [p.clone().requires_grad_() for p in parameters]
        optimizer = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=1e-2, foreach=False)
        batch = min(BATCH, len(kept))
        total = steps(len(kept), batch, network.operations(shape))
        for step in range(total):
            rate = min(1.0, (step + 1) / _WARM) * 0.5 * (1 + math.cos(math.pi * step / total))
            optimizer.param_groups[0]["lr"] = _RATE * rate
            index = kept[batch_rows(len(kept), batch, step, seed)]
            x, _ = train.gather(index.to(train.device), Noise.of(0, 97, index=index))
            hidden = network.apply(parameters[:-2], enter(torch.as_tensor(x).cpu()))
            loss = F.cross_entropy(F.linear(hidden, *parameters[-2:]), labels.train[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    parameters = [p.detach() for p in parameters]
    if not all(bool(p.isfinite().all()) for p in parameters):
        raise InputError(
            "features 'classifier': its training did not stay finite.",
            "Some values of the data are probably extreme; use other features.",
        )
    return parameters


def steps(rows: int, batch: int, operations: int) -> int:
    """Steps of training: at most 25 epochs, at most 900, fewer for networks whose steps cost more."""
    affordable = _BUDGET // max(1, operations)
    return max(FEWEST_STEPS, min(MOST_STEPS, _EPOCHS * rows // batch, affordable))


def _accuracy(
    test: Dataset, labels: Labels, probabilities: Callable[[Tensor], Tensor], block: int
) -> tuple[float, int]:
    index = (labels.test >= 0).nonzero()[:, 0]
    if len(index) == 0:
        return math.nan, 0
    index = index[spread(len(index), _TESTED)]
    x, _ = plain(test).gather(index.to(test.device), Noise.of(0, 97, index=index))
    found = in_blocks(probabilities, torch.as_tensor(x).cpu(), labels.count, block).argmax(1)
    return float((found == labels.test[index]).double().mean()), len(index)


def _scaled(data: Data, raw: Map, k: int) -> Map:
    """The units standardized by training rows, so that none outweighs the others, or k principal components of them."""
    rows = training_rows(data)
    x = in_blocks(raw.apply, rows, raw.dimension, raw.block)
    if bool((x == x[0]).all()):
        raise InputError("features 'classifier': it answers the same for all training rows.", "Use other features.")
    mean, scale = moments(x)
    components = None if k == raw.dimension else principal((x - mean) / scale, k)

    def apply(v: Tensor) -> Tensor:
        z = (raw.apply(v).double() - mean) / scale
        return z if components is None else z @ components.T

    dimension = raw.dimension if components is None else len(components)
    which = "" if components is None else f"the first {dimension} principal components of "
    about = f"{which}{raw.about}, standardized by training rows"
    return Map(dimension, about, digest("scaled/1", raw.hash, dimension, rows), apply, raw.block)
