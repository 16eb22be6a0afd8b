from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from pushforward.data import Data, load
from pushforward.errors import InputError
from pushforward.evaluation.features import check_same, make_features

from .data import table, text, vectors

WEIGHT = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)


def write(
    path: Path,
    nodes: list[Any],
    shape: list[Any],
    kind: int = TensorProto.FLOAT,
    weights: dict[str, np.ndarray] | None = None,
    external: str | None = None,
    inputs: int = 1,
) -> Path:
    """A network of the given nodes from x (or x, x1, ...) to y."""
    entries = [helper.make_tensor_value_info("x" + str(i or ""), kind, shape) for i in range(inputs)]
    leave = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    made = [numpy_helper.from_array(v, k) for k, v in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", entries, [leave], made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if external:
        onnx.save_model(
            model, str(path), save_as_external_data=True, location=external, size_threshold=0, convert_attribute=False
        )
    else:
        onnx.save_model(model, str(path))
    return path


def linear(path: Path, shape: list[Any] | None = None, weight: np.ndarray = WEIGHT, **options: Any) -> Path:
    return write(
        path, [helper.make_node("MatMul", ["x", "w"], ["y"])], shape or ["n", 3], weights={"w": weight}, **options
    )


def identity(path: Path, shape: list[Any]) -> Path:
    return write(path, [helper.make_node("Flatten", ["x"], ["y"])], shape)


def test_vectors_go_in_as_they_are(tmp_path: Path) -> None:
    data = vectors()
    features = make_features("onnx", data, file=linear(tmp_path / "Small Net.onnx"))
    x = data.test.all()[0]
    assert (features.id, features.dimension) == ("onnx:small-net", 2)
    np.testing.assert_allclose(features.transform(x), x.numpy().astype(np.float32) @ WEIGHT, rtol=1e-5)
    torch.testing.assert_close(features.transform(x)[3:5], features.transform(x[3:5]), rtol=1e-6, atol=1e-6)


def test_pixels_go_in_between_0_and_1(tmp_path: Path) -> None:
    data = load("digits")
    x = data.test.all()[0]
    features = make_features(f"onnx:{identity(tmp_path / 'a.onnx', ['n', 1, 8, 8])}", data)
    torch.testing.assert_close(features.transform(x), (x.float() / 16).flatten(1).double(), rtol=0, atol=0)
    free = make_features("onnx", data, file=identity(tmp_path / "b.onnx", ["n", "c", "h", "w"]))
    assert torch.equal(free.transform(x), features.transform(x))


def test_grey_pictures_are_repeated_and_sizes_brought_to_the_networks(tmp_path: Path) -> None:
    data = load("digits")
    x = data.test.all()[0]
    features = make_features("onnx", data, file=identity(tmp_path / "a.onnx", ["n", 3, 4, 4]))
    z = features.transform(x).view(-1, 3, 4, 4)
    assert torch.equal(z[:, 0], z[:, 1]) and torch.equal(z[:, 0], z[:, 2])
    assert "resized to 4x4" in features.about and "3 channels" in features.about
    # Halving with antialiasing: weights 1/8, 3/8, 3/8, 1/8 of four pixels along each axis, inside.
    weights = torch.tensor([1, 3, 3, 1]).double() / 8
    patch = (x[:, 0, 1:5, 3:7].double() / 16 * weights[:, None] * weights).sum((1, 2))
    torch.testing.assert_close(z[:, 0, 1, 2], patch, rtol=1e-5, atol=1e-6)


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    data = vectors()
    for batch in (1, 7):
        features = make_features("onnx", data, file=linear(tmp_path / "a.onnx", [batch, 3]))
        x = data.test.all()[0]
        np.testing.assert_allclose(features.transform(x), x.numpy().astype(np.float32) @ WEIGHT, rtol=1e-5)


def test_tokens_go_in_as_integers(tmp_path: Path) -> None:
    data = text(tmp_path)
    nodes = [helper.make_node("Gather", ["e", "x"], ["g"]), helper.make_node("Flatten", ["g"], ["y"])]
    weights = {"e": np.arange(20, dtype=np.float32).reshape(10, 2)}
    path = write(tmp_path / "a.onnx", nodes, ["n", 20], TensorProto.INT64, weights)
    x = data.test.all()[0]
    z = make_features("onnx", data, file=path).transform(x)
    assert torch.equal(z, torch.arange(20).view(10, 2)[x].flatten(1).double())
    cast = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    with pytest.raises(InputError, match="of type float"):
        make_features("onnx", vectors(), file=write(tmp_path / "b.onnx", cast, ["n", 3], TensorProto.INT64))


def test_the_hash_is_of_the_weights_wherever_they_are(tmp_path: Path) -> None:
    data = vectors()
    first = make_features("onnx", data, file=linear(tmp_path / "a.onnx"))
    check_same(first, make_features("onnx", data, file=linear(tmp_path / "a.onnx")))
    second = make_features("onnx", data, file=linear(tmp_path / "a.onnx", weight=WEIGHT + 1))
    with pytest.raises(InputError, match="two different feature spaces"):
        check_same(first, second)
    name = "w" * 150 + ".bin"
    beside = linear(tmp_path / "c.onnx", external=name)
    assert (tmp_path / name).stat().st_size >= WEIGHT.nbytes
    third = make_features("onnx", data, file=beside)
    torch.testing.assert_close(third.transform(data.test.all()[0]), first.transform(data.test.all()[0]))
    content = bytearray((tmp_path / name).read_bytes())
    content[1] ^= 1
    (tmp_path / name).write_bytes(bytes(content))
    assert make_features("onnx", data, file=beside).hash != third.hash


def refused(tmp_path: Path) -> list[tuple[Data, Path | str | None, str]]:
    digits, d = load("digits"), vectors()
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"nothing of the kind")
    pickle = tmp_path / "net.pt"
    pickle.write_bytes(b"x")
    normalized = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["y"]),
    ]
    two = [helper.make_node("Add", ["x", "x1"], ["y"])]
    total = [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)]
    return [
        (d, None, "need a file"),
        (d, tmp_path / "no.onnx", "there is no file"),
        (d, pickle, "never opened"),
        (d, junk, "damaged or not an ONNX network"),
        (d, linear(tmp_path / "4.onnx", ["n", 4], np.zeros((4, 2), np.float32)), r"\(any, 4\)"),
        (digits, linear(tmp_path / "v.onnx"), "pictures are"),
        (digits, identity(tmp_path / "2.onnx", ["n", 2, 8, 8]), "the input has 2 channels"),
        (d, write(tmp_path / "n.onnx", normalized, ["n", 3]), "depend on the other examples"),
        (d, write(tmp_path / "i.onnx", two, ["n", 3], inputs=2), "has 2 inputs"),
        (d, write(tmp_path / "s.onnx", total, ["n", 3]), "gave shape"),
    ]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    for data, file, message in refused(tmp_path):
        with pytest.raises(InputError, match=message):
            make_features("onnx", data, file=file)


def test_missing_cells_that_a_network_passes_on_are_noticed(tmp_path: Path) -> None:
    data = table(tmp_path)
    path = linear(tmp_path / "a.onnx", ["n", 4], np.ones((4, 2), np.float32))
    with pytest.raises(InputError, match="not finite"):
        make_features("onnx", data, file=path).transform(data.train.all()[0])


def test_without_onnxruntime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r'pip install "pushforward\[onnx\]"'):
        make_features("onnx", vectors(), file=linear(tmp_path / "a.onnx"))
