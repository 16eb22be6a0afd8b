"""Sphere, torus and token sequences: known points and distances, exact round trips, planted mistakes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pushforward as pf
from pushforward.data import load, read_like, write_samples
from pushforward.data.geometry import unit_vectors, wrap, written
from pushforward.errors import InputError
from pushforward.spaces import Space, Sphere, Tokens, Torus

RNG = np.random.default_rng(0)

PLACES = {"berlin": (52.5167, 13.3833), "tokyo": (35.6833, 139.7667), "sydney": (-33.8688, 151.2093)}


def everything(data: Any) -> torch.Tensor:
    return torch.cat([p.all()[0] for p in (data.train, data.validation, data.test)])


def rows(x: Any) -> set[tuple[float, ...]]:
    return {tuple(np.round(row, 9)) for row in np.asarray(x)}


# ------------------------------------------------------------------------------------------------- the sphere


def test_unit_vectors_of_known_places() -> None:
    x = unit_vectors(np.array([90.0, -90.0, 0.0, 0.0, 0.0, 45.0]), np.array([7.0, 0.0, 0.0, 90.0, -180.0, 0.0]))
    r = math.sqrt(0.5)
    assert np.allclose(x, [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0, 1, 0), (-1, 0, 0), (r, 0, r)], atol=1e-15)


def haversine(a: tuple[float, float], b: tuple[float, float]) -> float:
    """The angle between two places by the other formula for it."""
    (p, q), (s, t) = np.radians(a), np.radians(b)
    h = np.sin((s - p) / 2) ** 2 + np.cos(p) * np.cos(s) * np.sin((t - q) / 2) ** 2
    return float(2 * np.arcsin(np.sqrt(h)))


def test_angles_between_vectors_are_great_circle_distances() -> None:
    x = {name: unit_vectors(*np.array([place]).T)[0] for name, place in PLACES.items()}
    kilometres = 6371 * np.arccos(x["berlin"] @ x["tokyo"])
    assert kilometres == pytest.approx(8918, abs=10)  # the published distance of the two cities
    for a in PLACES:
        for b in PLACES:
            assert np.arccos(np.clip(x[a] @ x[b], -1, 1)) == pytest.approx(haversine(PLACES[a], PLACES[b]), abs=2e-8)


def test_the_measure_is_area_in_steradian() -> None:
    """Cells of a latitude-longitude grid, as spherical triangles of the vectors, add up to 4 pi."""
    latitude, longitude = np.linspace(-90, 90, 31), np.linspace(-180, 180, 61)
    corner = unit_vectors(*(g.ravel() for g in np.meshgrid(latitude, longitude, indexing="ij"))).reshape(31, 61, 3)

    def triangle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Van Oosterom and Strackee 1983: the solid angle of three unit vectors."""
        top = np.abs(np.sum(a * np.cross(b, c), -1))
        return 2 * np.arctan2(top, 1 + (a * b).sum(-1) + (b * c).sum(-1) + (c * a).sum(-1))

    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    assert float((triangle(a, b, c) + triangle(a, c, d)).sum()) == pytest.approx(4 * math.pi, rel=1e-12)
    space = load(np.array([(1.0, 2), (3, 4), (5, 6)]), space="sphere").space
    assert space.measure == "surface" and "steradian" in space.describe() and space.dimensions == 2


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 360)), min_size=3, max_size=20), st.booleans())
def test_degrees_come_back(places: list[tuple[float, float]], east: bool) -> None:
    values = np.array(places)
    values[:, 1] = values[:, 1] % 360 if east else (values[:, 1] + 180) % 360 - 180
    data = load(values, space="sphere")
    x = everything(data)
    assert torch.equal(data.space.check(x), x) and x.dtype == torch.float64
    degrees, names = written(x.numpy(), data.space)
    assert names == ["latitude", "longitude"]
    assert (degrees[:, 1] >= data.space.west).all() and (degrees[:, 1] < data.space.west + 360).all()
    assert np.allclose(unit_vectors(*degrees.T), x, atol=1e-12)
    assert (np.abs(degrees[:, 0]) <= 90).all()


EARTH = {
    "header": "# https://example.org\nlat,long\n{}",
    "no header": "# https://example.org\n{}",
    "other order and columns": "when,Longitude,depth,LAT\n{}",
    "containing words": "start_lat,start_lng,mag\n{}",
}


@pytest.mark.parametrize("kind", EARTH)
def test_columns_are_found_and_samples_come_back_under_their_names(kind: str, tmp_path: Path) -> None:
    latitude, longitude = np.round(RNG.uniform(-90, 90, 30), 4), np.round(RNG.uniform(-180, 180, 30), 3)
    lines = {
        "header": (f"{a},{b}" for a, b in zip(latitude, longitude)),
        "no header": (f"{a},{b}" for a, b in zip(latitude, longitude)),
        "other order and columns": (f"monday,{b},3.5,{a}" for a, b in zip(latitude, longitude)),
        "containing words": (f"{a},{b},7" for a, b in zip(latitude, longitude)),
    }[kind]
    path = tmp_path / "quakes.csv"
    path.write_text(EARTH[kind].format("\n".join(lines)))
    data = load(path, space="sphere")
    names = {
        "header": ("lat", "long"),
        "no header": ("latitude", "longitude"),
        "other order and columns": ("LAT", "Longitude"),
        "containing words": ("start_lat", "start_lng"),
    }[kind]
    assert data.space == Sphere(2, names, double=True)
    assert rows(everything(data)) == rows(unit_vectors(latitude, longitude))
    if kind == "other order and columns":
        assert "left out: when, depth" in data.notes
    if kind == "no header":
        assert any("the two numeric columns, in order" in note for note in data.notes)
    again = Space.from_json(json.loads(json.dumps(data.space.to_json())))
    assert again == data.space
    x = read_like(path, again)[0]
    assert np.allclose(x, unit_vectors(latitude, longitude))
    for name in ("s.csv", "s.parquet", "s.npz", "s.npy"):
        place = write_samples(tmp_path / name, x, data.space)
        assert torch.allclose(read_like(place, data.space)[0], x, atol=1e-12)
    text = (tmp_path / "s.csv").read_text().splitlines()
    assert text[0] == ",".join(names) and text[1] == f"{latitude[0]},{longitude[0]}"
    write_samples(tmp_path / "s.png", x, data.space)


def test_longitudes_from_0_to_360_stay_so(tmp_path: Path) -> None:
    table = pa.table({"lat": [1.0, 2.0, 3.0], "lon": [0.5, 190.25, 359.5]})
    data = load(table, space="sphere")
    degrees, _ = written(everything(data).numpy(), data.space)
    assert rows(degrees) == {(1.0, 0.5), (2.0, 190.25), (3.0, 359.5)}


def test_one_of_two_latitudes_is_dropped_on_request() -> None:
    table = pa.table({"lat": [1.0, 2, 3], "latitude": [4.0, 5, 6], "lon": [1.0, 2, 3]})
    assert load(table, space="sphere", columns="lat=drop").space == Sphere(2, ("latitude", "lon"), double=True)
    with pytest.raises(InputError, match="lat=category with space="):
        load(table, space="sphere", columns="lat=category")


def test_points_given_a_column() -> None:
    table = pa.table({"lat": [1.0, 2, 3] * 5, "kind": ["a", "b", "c"] * 5, "lon": [4.0, 5, 6] * 5})
    data = load(table, space="sphere", condition="kind")
    x, kind = data.train.all()
    assert rows(x[kind == 1]) == rows(unit_vectors(np.array([2.0]), np.array([5.0])))
    again, labels = read_like(table, data.space, data.condition_space, condition="kind")
    assert labels is not None and labels.tolist() == [0, 1, 2] * 5 and again.shape == (15, 3)


def test_unit_vectors_as_arrays() -> None:
    x = RNG.normal(size=(40, 4)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    data = load(x, space="sphere")
    assert data.space == Sphere(3) and data.space.dimensions == 3 and everything(data).dtype == torch.float32
    assert np.allclose(sorted(everything(data).tolist()), sorted(x.tolist()), atol=1e-6)
    assert load(x.astype(np.float64), space="sphere").space == Sphere(3, double=True)
    assert np.allclose(read_like(x, data.space)[0], x)


def coordinates(latitude: Any, longitude: Any) -> pa.Table:
    return pa.table({"lat": latitude, "lon": longitude})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (coordinates([1.0, 91, 3], [1.0, 2, 300]), r"column 'lat', data row 2 is 91\.0.*-90\.\.90 degrees\.$"),
        (coordinates([1.0, 100, 3], [1.0, 2, 3]), r"'lat', data row 2 is 100\.0.*swapped\?"),
        (
            coordinates([1.0, 2, 3], [1.0, 2, -180.5]),
            r"'lon', data row 3 is -180\.5.*-180\.\.180 or 0\.\.360 degrees\.$",
        ),
        (coordinates([1.0, 2, 3], [1.0, 361, 3]), r"'lon', data row 2 is 361\.0"),
        (coordinates([1.0, 2, 3], [-1.0, 350, 3]), r"'lon', data row 2 is 350\.0.*not both"),
        (coordinates([1.0, 2, 3], [1.0, math.nan, 3]), r"'lon', data row 2 is nan"),
        (coordinates([1.0, 2, 3], [1.0, None, 3]), r"'lon', data row 2.*missing"),
        (coordinates(["1", "2", "north"], [1.0, 2, 3]), r"'lat', data row 3 is 'north'.*numbers"),
        (pa.table({"a": [1.0, 2, 3], "b": [1.0, 2, 3], "c": [1.0, 2, 3]}), "which columns are latitude.*a, b, c"),
        (pa.table({"lat": [1.0], "latitude": [1.0], "lon": [1.0]}), "latitude by 'lat', 'latitude'"),
        (pa.table({"lat": [1.0], "height": [1.0]}), "which columns are latitude and longitude"),
        (np.array([[10.0, 20], [95, 20], [0, 0]]), r"row 1 \(index \[1, 0\]\) is 95\.0"),
        (np.array([[10.0, 20], [5, 720], [0, 0]]), r"row 1 \(index \[1, 1\]\) is 720\.0"),
        (np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 1]]), "row 1 has norm 2.*unit vectors"),
        (np.array([[1.0, 0, 0], [0, np.inf, 0], [0, 0, 1]]), "row 1.*is inf"),
        (np.zeros(5), "takes .n, 2. degrees"),
        (np.zeros((5, 2, 2)), r"takes numbers of shape \(n, columns\)"),
        (np.array([["a", "b"]] * 5), "takes numbers"),
        ("digits", "space= is for columns of numbers"),
    ],
)
def test_what_is_no_point_of_a_sphere_is_located(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(source, space="sphere")


@pytest.mark.parametrize("space", [Sphere(2), Torus(3)])
def test_models_say_what_they_model(space: Space) -> None:
    with pytest.raises(InputError, match=r"real-nvp cannot model .*It models: real"):
        pf.build("real-nvp", space)
    with pytest.raises(InputError, match=r"no model is for .*leave space= .* out"):
        pf.fit(None, load(np.tile(np.eye(3), (4, 1)), space=space.kind))


# -------------------------------------------------------------------------------------------------- the torus


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.floats(0, 1, exclude_max=True), min_size=3, max_size=20),
    st.sampled_from([(2 * math.pi, -math.pi), (2 * math.pi, 0.0), (360.0, -180.0), (360.0, 0.0)]),
)
def test_angles_come_back_in_the_users_unit_and_range(fractions: list[float], kind: tuple[float, float]) -> None:
    period, low = kind
    values = low + period * np.array([*fractions, 0.9, 0.1, 0.02])
    data = load(values, space="torus")
    assert data.space == Torus(1, (), period, low)
    x = everything(data)
    assert x.dtype == torch.float64 and bool((x >= -math.pi).all()) and bool((x < math.pi).all())
    assert torch.equal(data.space.check(x), x)
    y, _ = written(read_like(values, data.space)[0].numpy(), data.space)
    assert (y >= low).all() and (y < low + period).all()
    apart = np.abs(y[:, 0] - values)
    assert (np.minimum(apart, period - apart) < 1e-9).all()


def test_radians_of_the_range_are_kept_to_the_bit() -> None:
    values = RNG.uniform(-math.pi, math.pi, (50, 3))
    data = load(values, space="torus")
    assert {tuple(r) for r in everything(data).tolist()} == {tuple(r) for r in values.tolist()}
    assert {tuple(r) for r in written(everything(data).numpy(), data.space)[0].tolist()} == {
        tuple(r) for r in values.tolist()
    }


def test_wrapping() -> None:
    assert np.allclose(
        wrap(np.array([math.pi, -math.pi, 3 * math.pi, 7.0])), [-math.pi, -math.pi, -math.pi, 7 - 2 * math.pi]
    )
    edge = np.nextafter(np.array([math.pi, -math.pi]), np.array([0.0, -4.0]))
    assert (wrap(edge) < math.pi).all() and (wrap(edge) >= -math.pi).all()


def test_angles_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("phi,name,psi\n-170.5,a,20\n180,b,-90\n3,c,0\n1,d,1\n")
    data = load(tmp_path / "a.csv", space="torus")
    assert data.space == Torus(2, ("phi", "psi"), 360.0, -180.0)
    assert "left out: name" in data.notes and any("taken as degrees: the largest is 180" in n for n in data.notes)
    assert any("angle" in n and "radians" in n for n in load(RNG.uniform(-3, 3, (9, 2)), space="torus").notes)
    assert Space.from_json(json.loads(json.dumps(data.space.to_json()))) == data.space
    x = read_like(tmp_path / "a.csv", data.space)[0]
    assert np.allclose(x[:2], np.radians([[-170.5, 20], [-180, -90]]))
    write_samples(tmp_path / "b.csv", x, data.space)
    assert (tmp_path / "b.csv").read_text() == "phi,psi\n-170.5,20.0\n-180.0,-90.0\n3.0,0.0\n1.0,1.0\n"
    (tmp_path / "c.csv").write_text(
        "psi,phi\n5,6\n7,8\n"
    )  # degrees, as the model's, although none exceeds a turn of 2 pi
    assert np.allclose(read_like(tmp_path / "c.csv", data.space)[0], np.radians([[6, 5], [8, 7]]))
    (tmp_path / "c.csv").write_text("psi,theta\n5,6\n7,8\n")
    with pytest.raises(InputError, match="lacks 'phi'"):
        read_like(tmp_path / "c.csv", data.space)


def test_a_column_of_radians_among_degrees_is_pointed_out() -> None:
    table = pa.table({"a": [10.0, 350, 20, 5], "b": [0.5, 3.1, 6.1, 2.2], "c": [1.0, 2, 3, 90]})
    notes = [n for n in load(table, space="torus").notes if "if it is in radians" in n]
    assert len(notes) == 1 and "angle b" in notes[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (pa.table({"a": [10.0, 350, 361]}), r"column 'a', data row 3 is 361\.0.*-360\.\.360 degrees"),
        (pa.table({"a": [1.0, math.nan, 2]}), "column 'a', data row 2 is nan"),
        (pa.table({"a": ["x", "y", "z"]}), "no numeric columns"),
        (np.array([0.0, np.inf, 1]), "row 1 .*is inf"),
        (np.array([[1, 2], [900, 4], [5, 6]]), r"index \[1, 0\]\) is 900"),
    ],
)
def test_what_is_no_angle_is_located(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(source, space="torus")


def test_new_angles_are_in_the_models_unit() -> None:
    with pytest.raises(InputError, match=r"is 90\.0.*The model's angles lie in -2 pi\.\.2 pi radians"):
        read_like(np.array([[90.0], [3.0]]), Torus(1))
    with pytest.raises(InputError, match="has 2 angles, the model has 3"):
        read_like(np.zeros((4, 2)), Torus(3))


def test_angles_outside_the_circle_are_refused_by_the_space() -> None:
    x = torch.tensor([[math.pi], [-math.pi], [0.1]], dtype=torch.float64)
    assert Torus(1).check(x)[:, 0].tolist() == [-math.pi, -math.pi, 0.1]
    assert float(Torus(1).check(torch.tensor([[math.pi]]))) == -math.pi  # float32's pi lies above pi
    with pytest.raises(InputError, match=r"row 1: the angle 3\.2"):
        Torus(2).check(torch.tensor([[0.0, 1.0], [0.0, 3.2]]))
    with pytest.raises(InputError, match="row 0: a value is nan"):
        Torus(1).check(torch.tensor([[math.nan]]))


# ------------------------------------------------------------------------------------------------- sequences


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int64, ">i4", np.float64])
def test_sequences_of_integers(kind: Any, tmp_path: Path) -> None:
    x = RNG.integers(0, 7, (60, 5)).astype(kind)
    x[3, 2] = 11
    data = load(x, space="tokens")
    assert data.space == Tokens(5, 12) and not data.space.is_text
    assert sorted(map(tuple, everything(data).tolist())) == sorted(map(tuple, x.astype(int).tolist()))
    np.save(tmp_path / "x.npy", x)
    large = load(tmp_path / "x.npy", space="tokens", memory_budget=100)
    assert large.hash == data.hash and torch.equal(large.train.all()[0], data.train.all()[0])
    again = read_like(write_samples(tmp_path / "s.npz", everything(data), data.space), data.space)[0]
    assert torch.equal(again, everything(data))
    assert load(torch.from_numpy(x.astype(np.int64)), space="tokens").space == data.space
    assert isinstance(load(x).space, pf.Real)  # only on request


def test_sequences_keep_their_labels() -> None:
    x, y = np.arange(60).reshape(20, 3), np.arange(20) % 2
    data = load((x, y), space="tokens")
    for row, label in zip(*data.train.all()):
        assert label == y[np.flatnonzero((x == row.numpy()).all(1))[0]]
    assert data.condition_space == pf.Classes(2, ("0", "1")) and data.space == Tokens(3, 60)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.array([[1, 2], [3, -4], [0, 0]]), r"row 1 \(index \[1, 1\]\) is -4.*0 to 1,048,575"),
        (np.array([[1, 2], [3, 1 << 40], [0, 0]]), r"is 1099511627776"),
        (np.array([[1, 2], [3, 0.5], [0, 0]]), r"is 0\.5.*whole numbers"),
        (np.array([[1, 2], [3, np.nan], [0, 0]]), "is nan.*whole numbers"),
        (np.arange(50), "one sequence of 50 tokens.*Cut it into rows"),
        (np.zeros((4, 2), bool), "takes numbers"),
        (pa.table({"a": [1, 2, 3]}), "no sequences of tokens"),
    ],
)
def test_what_is_no_sequence_is_located(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(source, space="tokens")


def test_new_sequences_use_the_models_tokens() -> None:
    with pytest.raises(InputError, match=r"index \[0, 1\]\) is 9.*0 to 8"):
        read_like(np.array([[1, 9]]), Tokens(2, 9))
    with pytest.raises(InputError, match="shape"):
        read_like(np.array([[1, 2, 3]]), Tokens(2, 9))
