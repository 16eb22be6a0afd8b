"""Augmentation: every picture is a mirrored and moved original, in training only, drawn from the example's noise."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pushforward.data import load
from pushforward.data.images.augment import FEW, augment, move
from pushforward.dataset import Dataset
from pushforward.errors import InputError
from pushforward.noise import BatchNoise, Noise
from pushforward.spaces import Classes, Pixels, Real

from ...contract.cases import recipe_case
from ...contract.resume import check_resume, difference, play

G = torch.Generator().manual_seed(0)


def pictures(n: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, *shape), generator=G, dtype=torch.uint8)


def moved(x: np.ndarray, mirrored: bool, down: int, right: int) -> np.ndarray:
    """One picture (c, h, w), by NumPy's padding."""
    s = max(abs(down), abs(right))
    x = x[..., ::-1] if mirrored else x
    h, w = x.shape[1:]
    padded = np.pad(x, ((0, 0), (s, s), (s, s)), mode="edge")
    return padded[:, s - down : s - down + h, s - right : s - right + w]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 9), (4, 9, 6)])
def test_moving_repeats_edges_as_numpy_does(shape: tuple[int, int, int]) -> None:
    x = pictures(50, *shape)
    mirrored = torch.rand(50, generator=G) < 0.5
    down, right = torch.randint(-3, 4, (2, 50), generator=G)
    got = move(x, mirrored, down, right).numpy()
    for i in range(50):
        assert np.array_equal(got[i], moved(x[i].numpy(), bool(mirrored[i]), int(down[i]), int(right[i])))


@pytest.mark.parametrize(("flip", "shift"), [(True, 0), (False, 1), (True, 2)])
def test_every_result_is_a_motion_of_its_original_with_the_right_frequencies(flip: bool, shift: int) -> None:
    base = pictures(3, 1, 7, 7)
    data = augment(Dataset(base, space=Pixels(1, 7, 7)), flip, shift)
    n = 12_000
    index = torch.arange(n) % 3
    x, _ = data.gather(index, Noise.of(1, index=torch.arange(n)))
    motions = [
        (m, dy, dx)
        for m in ((False, True) if flip else (False,))
        for dy in range(-shift, shift + 1)
        for dx in range(-shift, shift + 1)
    ]
    expected = n / len(motions)
    tables = [{moved(b.numpy(), *motion).tobytes(): motion for motion in motions} for b in base]
    counts = dict.fromkeys(motions, 0)
    for i in range(n):
        counts[tables[index[i]][x[i].numpy().tobytes()]] += 1  # a KeyError is a picture that is no motion
    assert all(len(t) == len(motions) for t in tables)
    assert max(abs(c - expected) for c in counts.values()) < 5 * expected**0.5
    chi2 = sum((c - expected) ** 2 / expected for c in counts.values())
    assert chi2 < len(motions) - 1 + 5 * (2 * len(motions)) ** 0.5


def test_the_same_noise_gives_the_same_pictures_and_new_noise_others() -> None:
    base = Dataset(pictures(40, 3, 8, 8), torch.arange(40), space=Pixels(3, 8, 8), condition_space=Classes(40))
    data = augment(base, True, 2)
    index = torch.randperm(40, generator=G)
    first, condition = data.gather(index, BatchNoise(5, 0, 40, 40))
    assert torch.equal(first, data.gather(index, BatchNoise(5, 0, 40, 40))[0]) and torch.equal(condition, index)
    assert not torch.equal(first, data.gather(index, BatchNoise(6, 0, 40, 40))[0])
    # Two ranks see their rows of the same batch.
    halves = [data.gather(index[i : i + 20], BatchNoise(5, i, i + 20, 40))[0] for i in (0, 20)]
    assert torch.equal(first, torch.cat(halves))
    # Subsets and moved copies are augmented alike, and the noise of whatever comes after is what it was without.
    assert torch.equal(data.subset(index).gather(torch.arange(40), BatchNoise(5, 0, 40, 40))[0], first)
    assert torch.equal(data.to("cpu").gather(index, BatchNoise(5, 0, 40, 40))[0], first)
    one, two = BatchNoise(5, 0, 40, 40), BatchNoise(5, 0, 40, 40)
    data.gather(index, one)
    assert torch.equal(one.normal(3), two.normal(3))
    assert torch.equal(data.conditions(), torch.arange(40))


def test_training_on_augmented_pictures_resumes_exactly(tmp_path: Path) -> None:
    case = recipe_case("vae", "colour", "class")
    plain = case.data
    augmented = dataclasses.replace(case, data=lambda: augment(plain(), True, 2))  # type: ignore[arg-type]
    check_resume(augmented, tmp_path / "a", [1, 3])
    seen, before = (play(c, tmp_path / c_name) for c, c_name in ((augmented, "b"), (case, "c")))
    assert difference(seen["final"], before["final"]) is not None


def test_only_training_pictures_change_and_the_run_remembers() -> None:
    plain, data = load("digits", condition="label"), load("digits", condition="label", flip=True, shift=1)
    assert data.hash == plain.hash and data.split == plain.split and data.space == plain.space
    for part in ("validation", "test"):
        for a, b in zip(getattr(plain, part).all(), getattr(data, part).all()):
            assert torch.equal(a, b)
    a, b = plain.train.all(), data.train.all()
    assert not torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
    assert data.options == {"condition": "label", "flip": True, "shift": 1}
    assert any("mirrored" in n and "up to 1 pixel" in n and "validation and test" in n for n in data.notes)
    again = load("digits", **data.options)
    assert torch.equal(again.train.all()[0], b[0])
    assert not any("mirrored" in n for n in plain.notes)


@pytest.mark.parametrize("kind", ["array", "folder", "mapped"])
def test_every_source_of_pictures_can_be_augmented(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHFORWARD_CACHE", str(tmp_path / "cache"))
    values = pictures(30, 3, 6, 6).numpy()
    for i, v in enumerate(values):
        (tmp_path / "p").mkdir(exist_ok=True)
        Image.fromarray(v.transpose(1, 2, 0)).save(tmp_path / "p" / f"{i:02d}.png")
    source = values if kind == "array" else tmp_path / "p"
    budget = {"memory_budget": 1000} if kind == "mapped" else {}
    plain, data = load(source, **budget), load(source, flip=True, **budget)
    x, y = plain.train.all()[0], data.train.all()[0]
    same = (x == y).flatten(1).all(1)
    assert 4 <= int(same.sum()) <= 20 and torch.equal(x[~same].flip(-1), y[~same])
    assert torch.equal(plain.test.all()[0], data.test.all()[0])


def test_what_is_not_pictures_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n" + "\n".join(f"{i},{i / 7}" for i in range(20)))
    for source in ("ring:n=50", np.zeros((20, 3)) + np.arange(20)[:, None], tmp_path / "t.csv"):
        with pytest.raises(InputError, match=r"flip= is for pictures.*Leave it out"):
            load(source, flip=True)
        with pytest.raises(InputError, match="shift= is for pictures"):
            load(source, shift=1)
    with pytest.raises(InputError, match=r"shift=4 is too much for pictures of 8x8 pixels. At most 3"):
        load("digits", shift=4)
    with pytest.raises(InputError, match="shift"):
        augment(Dataset(torch.zeros(3, 2), space=Real((2,))), shift=1)


def test_few_pictures_are_told_what_to_expect() -> None:
    few, many = (load(pictures(n, 1, 2, 2).numpy()) for n in (FEW, FEW * 2))
    assert any("near copies" in n and "vae" in n for n in few.notes)
    assert not any("near copies" in n for n in many.notes)
    assert not any("near copies" in n for n in load("ring:n=50").notes)
