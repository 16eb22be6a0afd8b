"""`encode` and `decode` round trips through files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pushforward.data import read_like
from pushforward.training import open_run

from .conftest import Cli


def test_codes_and_back(cli: Cli, digits_run: Path) -> None:
    model = open_run(digits_run).model
    x, y = read_like("digits", model.space, model.condition_space, condition="label")
    codes = model.encode(x, y)
    decoded = model.decode(codes, y)
    document = cli("encode", digits_run, "digits", "--out", "z.npz", "--json").json
    assert document["n"] == len(x) and document["shape"] == list(model.code_space.shape)
    np.testing.assert_allclose(np.load("z.npz")["codes"], codes.numpy(), atol=1e-6)
    # The .npz keeps the conditions; a CSV of codes needs one.
    assert cli("decode", digits_run, "z.npz", "--out", "x.npz").code == 0
    np.testing.assert_array_equal(np.load("x.npz")["samples"], decoded.numpy())
    for name in ("z.csv", "z.npy"):
        assert cli("encode", digits_run, "digits", "--out", name).code == 0
        assert cli("decode", digits_run, name, "--out", "y.npz").code == 2
        assert cli("decode", digits_run, name, "--condition", "label=4", "--out", "y.npz", "--overwrite").code == 0
        expected = model.decode(codes, "4").float()
        # Codes in text have nine digits: a pixel in a thousand may fall on the other side of a level.
        assert (torch.tensor(np.load("y.npz")["samples"]).float() - expected).abs().gt(0).float().mean() < 1e-3
        Path("y.npz").unlink()


def test_a_draw_from_the_posterior(cli: Cli, plane_run: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert cli("encode", plane_run, "ring:n=50", "--seed", seed, "--out", f"{name}.npy").code == 0
    a, b, c = (np.load(f"{name}.npy") for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_refused(cli: Cli, plane_run: Path, implicit_run: Path, tmp_path: Path) -> None:
    no_codes = cli("encode", implicit_run, "ring:n=50", "--out", "z.npz")
    if no_codes.code:  # a generator with codes can only decode
        assert no_codes.code == 2 and "encode" in no_codes.err
    np.savez("other.npz", x=np.zeros((2, 2)))
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("wide.npy", np.zeros((2, 77)))
    Path("damaged.npz").write_bytes(b"PK\x03\x04 not a zip")
    Path("text.csv").write_text("z1,z2\n1,two\n")
    for name, says in (
        ("missing.npz", "no file"),
        ("other.npz", "codes"),
        ("objects.npy", "not a file of codes"),
        ("damaged.npz", "not a file of codes"),
        ("text.csv", "not a file of codes"),
        ("wide.npy", "77"),
        ("codes.txt", ".npz"),
    ):
        result = cli("decode", plane_run, name, "--out", "x.csv")
        assert result.code == 2 and says in result.err and "Traceback" not in result.err, (name, result.err)
    assert not Path("x.csv").exists()
    assert cli("encode", plane_run, "ring:n=50", "--out", "z.txt").code == 2
