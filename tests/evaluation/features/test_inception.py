from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from pushforward.data import load
from pushforward.errors import InputError
from pushforward.evaluation.features import Features, make_features
from pushforward.evaluation.features import inception as module
from pushforward.evaluation.features.inception import SIZE, Inception, pool, resize, shapes


def random_weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {}
    for name, shape in shapes().items():
        if name.endswith(("running_var", "bn.weight")):
            made[name] = 0.5 + torch.rand(shape, generator=generator)
        elif len(shape) == 1:
            made[name] = 0.1 * torch.randn(shape, generator=generator)
        else:
            made[name] = torch.randn(shape, generator=generator) * (2 / math.prod(shape[1:])) ** 0.5
    return made


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return random_weights()


@pytest.fixture(scope="module")
def made(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Features]:
    path = tmp_path_factory.mktemp("inception") / "weights.safetensors"
    save_file({**weights, "Conv2d_1a_3x3.bn.num_batches_tracked": torch.tensor(7)}, path)
    data = load("digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", 2)
        return data, make_features("inception", data, file=path)


def test_the_number_of_weights_is_the_published_one() -> None:
    """27,161,264 of torchvision's Inception v3, without its auxiliary classifier (3,326,696), with 1,008 classes.

    Keras has 21,768,352 trainable weights below its classes; it leaves out the scales of batch normalization.
    """
    found = shapes()
    trained = {k: math.prod(v) for k, v in found.items() if "running" not in k}
    assert sum(trained.values()) == 27_161_264 - 3_326_696 + 8 * 2049
    scales = sum(v for k, v in trained.items() if k.endswith("bn.weight"))
    assert sum(v for k, v in trained.items() if not k.startswith("fc")) == 21_768_352 + scales
    assert scales == 17_216 and sum(k.endswith("conv.weight") for k in found) == 94
    assert found["fc.weight"] == (1008, 2048) and found["Mixed_7c.branch_pool.conv.weight"] == (192, 2048, 1, 1)


def test_every_weight_has_a_part_and_the_work_is_the_published_one(
    weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """5.7 billion multiplications for a picture: the sizes of all layers are right."""
    network = Inception(weights)
    work, plain = [], F.conv2d

    def counted(x: Tensor, kernel: Tensor, *rest: Any) -> Tensor:
        out = plain(x, kernel, *rest)
        work.append(math.prod(kernel.shape) * out.shape[2] * out.shape[3])
        return out

    monkeypatch.setattr(F, "conv2d", counted)
    for kernel, bias in network.kernels.values():
        kernel.requires_grad_(), bias.requires_grad_()
    x = torch.randint(0, 256, (1, 3, 40, 50), generator=torch.Generator().manual_seed(1))
    out = network.features(x)
    assert out.shape == (1, 2048) and sum(work) / 1e9 == pytest.approx(5.71, abs=0.03)
    out.sum().backward()
    for name, (kernel, bias) in network.kernels.items():
        assert float(kernel.grad.abs().max()) > 0 and float(bias.grad.abs().max()) > 0, name  # type: ignore[union-attr]


def test_averages_leave_out_the_padding_and_the_last_block_takes_the_maximum() -> None:
    x = torch.arange(9.0).view(1, 1, 3, 3)
    assert pool(x, "average").flatten().tolist() == [2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6]
    assert pool(x, "maximum").flatten().tolist() == [4, 5, 5, 7, 8, 8, 7, 8, 8]
    assert pool(torch.arange(25.0).view(1, 1, 5, 5), "halve").flatten().tolist() == [12, 14, 22, 24]
    kinds = {name: [b[0] for b in blocks if isinstance(b[0], str)] for name, blocks in module._BLOCKS.items()}
    assert kinds.pop("Mixed_7c") == ["maximum"]
    assert {name: k for name, (k,) in kinds.items() if k == "halve"}.keys() == {"Mixed_6a", "Mixed_7a"}
    assert sum(k == ["average"] for k in kinds.values()) == 8


def test_resizing_aligns_the_upper_left_corners_of_pixels() -> None:
    matrix = module._interpolation(2, 4)
    assert matrix.tolist() == [[1, 0], [0.5, 0.5], [0, 1], [0, 1]]
    x = torch.rand(2, 3, 5, SIZE, dtype=torch.float64)
    out = resize(x)
    # By hand: row 100 of 299 looks at 100 * 5 / 299 = 1.672...
    place = 100 * 5 / 299
    torch.testing.assert_close(out[:, :, 100], (2 - place) * x[:, :, 1] + (place - 1) * x[:, :, 2], rtol=1e-12, atol=0)
    torch.testing.assert_close(resize(x.transpose(2, 3)).transpose(2, 3), out, rtol=1e-12, atol=0)
    same = torch.rand(1, 3, SIZE, SIZE, dtype=torch.float64)
    torch.testing.assert_close(resize(same), same, rtol=1e-12, atol=0)


def test_normalization_is_folded_into_the_convolutions(weights: dict[str, Tensor]) -> None:
    name, x = "Mixed_6b.branch7x7_2", torch.randn(2, 128, 5, 9, generator=torch.Generator().manual_seed(0))
    kernel, bias = module._folded(weights, name)
    part = {p: weights[f"{name}.bn.{p}"] for p in ("running_mean", "running_var", "weight", "bias")}
    plain = F.conv2d(x, weights[f"{name}.conv.weight"], padding=(0, 3))
    expected = F.batch_norm(plain, *part.values(), eps=1e-3)
    torch.testing.assert_close(F.conv2d(x, kernel, bias, padding=(0, 3)), expected, rtol=1e-4, atol=1e-4)


def test_features_of_pictures(made: tuple[Any, Features], weights: dict[str, Tensor]) -> None:
    data, features = made
    x = data.test.all()[0][:3]
    z = features.transform(x)
    assert (features.id, features.dimension, z.shape) == ("inception", 2048, (3, 2048))
    assert torch.equal(features.transform(x[2:]), z[2:])
    # Grey is three equal channels; 17 levels are spread over 0..255; 128 becomes 0.
    colour = (x[:1].float() * 255 / 16).repeat(1, 3, 1, 1)
    torch.testing.assert_close(Inception(weights).features(colour).double(), z[:1], rtol=1e-4, atol=1e-5)
    assert features.probabilities is not None
    p = features.probabilities(x[:1])
    assert p.shape == (1, 1008)
    torch.testing.assert_close(p, (z[:1] @ weights["fc.weight"].double().T).softmax(1), rtol=1e-3, atol=1e-9)


def test_other_weights_are_refused(weights: dict[str, Tensor], tmp_path: Path) -> None:
    data = load("digits")

    def attempt(changed: dict[str, Tensor], message: str) -> None:
        save_file(changed, tmp_path / "w.safetensors")
        with pytest.raises(InputError, match=message):
            make_features("inception", data, file=tmp_path / "w.safetensors")

    few = {name: torch.zeros(1) for name in list(weights)[:3]}
    attempt(few, r"has shape \(1,\), not \(32, 3, 3, 3\).*and 467 more")
    attempt({**weights, "fc.bias": torch.zeros(1000)}, r"fc.bias has shape \(1000,\), not \(1008,\)")
    attempt({**weights, "AuxLogits.fc.bias": torch.zeros(1)}, "AuxLogits.fc.bias is not known")
    attempt({k: v for k, v in weights.items() if k != "fc.bias"}, "fc.bias is missing")
    attempt({**weights, "fc.bias": torch.full((1008,), math.nan)}, "not made of finite real numbers")


def test_no_pickle_is_opened_and_no_other_data_are_taken(tmp_path: Path) -> None:
    data = load("digits")
    (tmp_path / "w.pth").write_bytes(b"\x80\x02.")
    (tmp_path / "w.safetensors").write_bytes(b"\x80\x02.")
    for file, message in [
        (None, "need the weights"),
        (tmp_path / "none.safetensors", "there is no file"),
        (tmp_path / "w.pth", "never opened"),
        (tmp_path / "w.safetensors", "damaged or not a safetensors file"),
    ]:
        with pytest.raises(InputError, match=message):
            make_features("inception", data, file=file)
    with pytest.raises(InputError, match="grey or colour pictures"):
        make_features("inception", load(np.zeros((30, 3)) + np.arange(30)[:, None]))
