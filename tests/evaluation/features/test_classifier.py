from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pushforward.data import Data, load
from pushforward.dataset import Dataset
from pushforward.errors import InputError
from pushforward.evaluation.features import Features, make_features
from pushforward.evaluation.features.classifier import steps

from .data import table


@pytest.fixture(scope="module")
def digits() -> tuple[Data, Features]:
    data = load("digits", condition="label")
    return data, make_features("classifier", data)


def test_it_is_right_about_held_out_digits_and_says_how_often(digits: tuple[Data, Features]) -> None:
    data, features = digits
    x, y = data.test.all()
    assert features.probabilities is not None
    p = features.probabilities(x)
    torch.testing.assert_close(p.sum(1), torch.ones(len(x), dtype=torch.float64))
    accuracy = float((p.argmax(1) == y).double().mean())
    assert accuracy > 0.95
    assert features.id == f"classifier({accuracy:.1%})" and f"{accuracy:.1%} right on 180 test rows" in features.about
    assert features.dimension == 64 and features.transform(x).shape == (180, 64)
    z = features.transform(data.train.all()[0])
    torch.testing.assert_close(z.mean(0), torch.zeros(64).double(), atol=1e-9, rtol=0)
    assert bool(((z.std(0, correction=0) - 1).abs() < 1e-6).logical_or(z.std(0) == 0).all())


def test_a_last_layer_refitted_to_the_features_is_as_good(digits: tuple[Data, Features]) -> None:
    from sklearn.linear_model import LogisticRegression

    data, features = digits
    (x, y), (held, labels) = data.train.all(), data.test.all()
    z = features.transform(x)
    scale = z.std()
    fitted = LogisticRegression(max_iter=300).fit(z / scale, y)
    assert fitted.score(features.transform(held) / scale, labels) > 0.95


def test_labels_of_the_test_rows_leak_into_nothing_but_the_accuracy() -> None:
    data = two_blobs()
    x, y = data.test.all()
    wrong = replace(data, test=Dataset(x, 1 - y, space=data.space, condition_space=data.condition_space))
    first, second = make_features("classifier", data), make_features("classifier", wrong)
    assert (first.id, second.id) == ("classifier(100.0%)", "classifier(0.0%)")
    assert first.hash == second.hash and torch.equal(first.transform(x), second.transform(x))
    # And the labels of the training rows do matter.
    x, y = data.train.all()
    other = replace(data, train=Dataset(x, 1 - y, space=data.space, condition_space=data.condition_space))
    assert make_features("classifier", other).hash != first.hash


def two_blobs(n: int = 300) -> Data:
    generator = np.random.default_rng(0)
    label = np.arange(n) % 2
    x = generator.normal(size=(n, 3)) + 8 * label[:, None]
    return load((x, np.array(["left", "right"])[label]))


def test_twice_the_same_training_gives_the_same_weights_whatever_else_happened() -> None:
    data = two_blobs()
    first = make_features("classifier", data)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.manual_seed(17)
        with torch.inference_mode():
            second = make_features("classifier", data)
    finally:
        torch.set_num_threads(threads)
    torch.set_rng_state(before)
    assert first.hash == second.hash and first.id == second.id
    assert make_features("classifier", data, seed=1).hash != first.hash


def test_few_samples_get_principal_components_of_it() -> None:
    data = two_blobs()
    full, few = make_features("classifier", data), make_features("classifier", data, n=60)
    assert (few.id, few.dimension) == ("classifier(100.0%,pca3)", 3) and few.hash != full.hash
    x = data.train.all()[0]
    z = full.transform(x)
    torch.testing.assert_close(few.transform(x).norm(), torch.linalg.svdvals(z)[:3].norm(), rtol=1e-6, atol=0)
    assert few.probabilities is not None and few.probabilities(x).shape == (240, 2)


def test_a_column_of_a_table_is_no_input_of_its_own_classifier(tmp_path: Path) -> None:
    data = table(tmp_path)
    features = make_features("classifier:sex", data)
    x = data.test.all()[0].clone()
    z = features.transform(x)
    x[:, 2] = 1 - x[:, 2]
    assert torch.equal(features.transform(x), z)
    assert "sex itself is not an input" in features.about


def test_one_class_teaches_nothing() -> None:
    data = two_blobs()
    x, y = data.train.all()
    alone = replace(data, train=Dataset(x, torch.zeros_like(y), space=data.space, condition_space=data.condition_space))
    with pytest.raises(InputError, match="fewer than two classes"):
        make_features("classifier", alone)


def test_steps_are_bounded_by_epochs_and_by_work() -> None:
    assert steps(10, 10, 1) == 150
    assert steps(1280, 128, 1) == 250
    assert steps(10**6, 128, 1) == 700
    assert steps(10**6, 128, 2_000_000) == 500
