"""What looks odd: each planted oddity is found with its numbers, and clean tables raise none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pushforward.bijections.dependencies import find_dependencies
from pushforward.data.inspection.odd_columns import of_classes
from pushforward.data.inspection.odd_tables import centred_ranks
from pushforward.data.inspection.oddities import Oddity, find_oddities, profiles, some_rows
from pushforward.data.inspection.oddity import amount, listed, share
from pushforward.data.tables.cells import encode
from pushforward.data.tables.columns import detect
from pushforward.spaces import Column

NOW = 1.7e9
"""November 2023."""


def find(cells: Mapping[str, Any], **kinds: str) -> list[Oddity]:
    table = pa.table({name: c if isinstance(c, pa.Array) else pa.array(c) for name, c in cells.items()})
    found = detect(table, kinds, "test")
    x = encode(table, found.space, "test")
    return find_oddities(x, found.columns, dropped=found.dropped, rules=find_dependencies, now=NOW)


def one(found: list[Oddity], kind: str, column: str = "") -> Oddity:
    chosen = [o for o in found if o.kind == kind and o.column == column]
    assert len(chosen) == 1, found
    return chosen[0]


def kinds(found: list[Oddity]) -> set[tuple[str, str]]:
    return {(o.kind, o.column) for o in found}


def gaussian(rng: np.random.Generator, n: int, d: int = 4) -> dict[str, np.ndarray]:
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    return {f"g{j}": x[:, j] * 10.0 ** rng.uniform(-6, 6) for j in range(d)}


# ------------------------------------------------------------------------------------------------ nothing odd


@pytest.mark.parametrize("n", [100, 1000, 20_000])
@pytest.mark.parametrize("seed", range(6))
def test_gaussian_tables_raise_nothing(seed: int, n: int) -> None:
    assert find(gaussian(np.random.default_rng(seed), n)) == []


@pytest.mark.parametrize("seed", range(6))
def test_clean_mixed_tables_raise_nothing(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    n = 3000
    cells = {
        **gaussian(rng, n, 2),
        "uniform": rng.random(n),
        "exponential": rng.exponential(size=n),
        "two_modes": np.where(rng.random(n) < 0.8, rng.normal(0, 0.1, n), rng.normal(5, 1, n)),
        "whole": np.rint(rng.normal(100, 30, n)).astype(int),
        "count": rng.poisson(4, n),
        "decreasing": rng.geometric(0.3, n) - 1,
        "cents": rng.gamma(3, 20, n).round(2),
        "letter": np.array(list("abcd"))[rng.integers(0, 4, n)],
        "flag": rng.random(n) < 0.3,
        "day": np.datetime64("2015-03-01") + rng.integers(0, 900, n).astype("m8[D]"),
        "hole": pa.array(rng.normal(size=n), mask=rng.random(n) < 0.2),
        "other_hole": pa.array(rng.normal(size=n), mask=rng.random(n) < 0.2),
    }
    assert find(cells) == []


# ------------------------------------------------------------------------------------------------ one column


def test_spikes_and_their_shares() -> None:
    rng = np.random.default_rng(0)
    gains = np.concatenate([np.zeros(920, int), rng.integers(100, 50_000, 80)])
    zeros = one(find({"gain": rng.permutation(gains)}), "spike", "gain")
    assert "0 (92% of the cells)" in zeros.what and zeros.severity == "note"
    level = np.concatenate([np.full(30, 1.25), rng.normal(size=970)])
    assert "1.25 (3.0% of the cells)" in one(find({"level": level}), "spike", "level").what
    several = np.concatenate([np.full(200, 40), np.full(100, 60), rng.integers(0, 100, 700)])
    what = one(find({"hours": several}), "spike", "hours").what
    assert what.startswith("40 (2") and "and 60 (1" in what


def test_rounding_of_whole_numbers() -> None:
    rng = np.random.default_rng(1)
    weight = np.rint(rng.normal(800, 150, 4000)).astype(int)
    weight[:1600] = 10 * (weight[:1600] // 10)
    found = one(find({"weight": weight}), "rounding", "weight")
    expected = share(float((weight % 10 == 0).mean()))
    assert f"{expected} of the values are multiples of 10, where chance makes 10%" in found.what
    fives = np.rint(rng.normal(800, 150, 4000)).astype(int)
    fives[:2000] -= fives[:2000] % 5
    fives[:2000] += 5 * (fives[:2000] % 10 == 0)  # 5, 15, 25 and never 10
    assert "multiples of 5," in one(find({"w": fives}), "rounding", "w").what
    salary = 1000 * rng.integers(20, 900, 4000)
    found = one(find({"salary": salary}), "rounding", "salary")
    assert "every value is a multiple of 1000." in found.what and "divide the column by 1000" in found.advice


def test_rounding_of_prices() -> None:
    rng = np.random.default_rng(2)
    price = rng.gamma(3, 20, 3000).round(2)
    price[:900] = np.floor(price[:900]) + 0.99
    what = one(find({"price": price}), "rounding", "price").what
    assert "end in .99, where chance makes 1.0%" in what
    price[:900] = np.floor(price[:900])
    assert "are whole numbers" in one(find({"price": price}), "rounding", "price").what


@pytest.mark.parametrize("sign", [1, -1])
def test_heavy_tails_with_true_quantiles(sign: int) -> None:
    rng = np.random.default_rng(3)
    x = sign * rng.lognormal(0, 2, 5000)
    what = one(find({"x": x}), "heavy-tail", "x").what
    numbers = [amount(np.quantile(x, q, method="inverted_cdf")) for q in (0.5, 0.995 if sign > 0 else 0.005)]
    end = amount(x.max() if sign > 0 else x.min())
    side, far, word = ("below", "above", "largest") if sign > 0 else ("above", "below", "smallest")
    assert what == (
        f"a heavy tail: half of the values are {side} {numbers[0]}, 1 in 200 is {far} {numbers[1]}, and the {word} is "
        f"{end}."
    )
    cauchy = one(find({"x": rng.standard_cauchy(20_000)}), "heavy-tail", "x")
    assert cauchy.what.startswith("heavy tails")


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        ([999] * 3, "999 (3 rows)"),
        ([-999.0], "-999 (1 row)"),
        ([998] * 5 + [999] * 2, "998 and 999 (7 rows)"),
        ([0] * 4, "0 (4 rows)"),
    ],
)
def test_codes_for_missing(codes: list[float], says: str) -> None:
    rng = np.random.default_rng(4)
    x = np.concatenate([codes, rng.integers(60, 110, 500)]).astype(type(codes[0]))
    found = one(find({"pressure": rng.permutation(x)}), "code", "pressure")
    assert f"{says} may be a code: all other values lie in 60 to 109" in found.what
    assert found.severity == "warning"


def test_minus_one_among_counts_and_a_mistake() -> None:
    rng = np.random.default_rng(5)
    counts = rng.poisson(6, 1000)
    x = np.concatenate([np.full(40, -1), counts])
    assert "-1 (40 rows)" in one(find({"visits": x}), "code", "visits").what
    assert ("code", "visits") not in kinds(find({"visits": np.rint(rng.normal(5, 3, 1000)).astype(int)}))
    age = np.append(rng.normal(40, 10, 1000).clip(18, 80).round(1), 4200)
    found = one(find({"age": age}), "far", "age")
    assert "4200 (1 row) lies far from the others, which are 18 to " in found.what and found.severity == "warning"


def test_capped_columns() -> None:
    x = np.minimum(np.random.default_rng(6).exponential(10, 3000).astype(int), 40)
    what = one(find({"age": x}), "capped", "age").what
    assert what.startswith(f"{(x == 40).sum()} rows hold the largest, 40, and few the values next to it")


def test_constant_nearly_constant_and_empty_columns() -> None:
    rng = np.random.default_rng(7)
    n = 1000
    cells = {
        "g": rng.normal(size=n),
        "same": ["x"] * n,
        "empty": pa.nulls(n),
        "nearly": np.array(["no", "yes", "maybe"])[np.r_[np.zeros(n - 6, int), 1, 1, 1, 2, 2, 2]],
        "hardly": pa.array(rng.normal(size=n), mask=np.arange(n) >= 30),
    }
    found = find(cells)
    assert 'every cell is "x"' in one(found, "constant", "same").what
    assert one(found, "constant", "empty").what == "every cell is missing."
    nearly = one(found, "nearly-constant", "nearly")
    assert nearly.what == '99.4% of the cells are "no".' and "6 rows" in nearly.advice
    assert "97% of the cells are missing; 30 rows" in one(found, "mostly-missing", "hardly").what


def test_dates_that_programs_fill_in_and_the_future() -> None:
    rng = np.random.default_rng(8)
    days = np.datetime64("2019-01-01") + rng.integers(0, 1500, 1000).astype("m8[D]")
    days[:7] = np.datetime64("1970-01-01")
    days[7:9] = np.datetime64("9999-12-31")
    days[9:12] = np.datetime64("2024-05-05")
    found = [o.what for o in find({"when": days}) if o.kind == "date"]
    assert len(found) == 3
    assert any("1970-01-01 (7 rows) is a date that programs fill in" in w for w in found)
    assert any("9999-12-31 (2 rows)" in w for w in found)
    assert "3 rows lie in the future, up to 2024-05-05." in found
    ordinary = np.datetime64("1965-01-01") + rng.integers(0, 4000, 3000).astype("m8[D]")
    assert find({"born": ordinary}) == []
    clock = pa.array(rng.integers(0, 86400, 500).tolist(), pa.time32("s"))
    assert not [o for o in find({"at": clock}) if o.kind == "date"]


# ------------------------------------------------------------------------------------------------ categories


def test_several_writings_of_one_category() -> None:
    city = ["Paris"] * 50 + ["paris"] * 7 + ["PARIS "] * 3 + ["Roma"] * 60 + ["Ｒｏｍａ"] * 2 + ["Oslo"] * 80
    found = one(find({"city": city, "x": np.random.default_rng(9).normal(size=202)}), "writing", "city")
    assert """"Paris" (50) = "paris" (7) = 'PARIS ' (3)""" in found.what
    assert '"Roma" (60) = "Ｒｏｍａ" (2)' in found.what and "Oslo" not in found.what
    assert found.severity == "warning"


def test_words_that_mean_missing() -> None:
    work = ["private"] * 100 + ["?"] * 12 + ["state"] * 60 + ["Unknown"] * 30
    what = one(find({"work": work}), "missing-word", "work").what
    assert '"?" (12 rows)' in what and '"Unknown" (30 rows)' in what


def test_rare_and_many_categories() -> None:
    rng = np.random.default_rng(10)
    names = rng.permutation(["a"] * 300 + ["b"] * 400 + ["c"] * 9 + ["d"] * 2 + ["e"] * 10)
    what = one(find({"x": names}), "rare", "x").what
    assert what == '2 of 5 categories are seen fewer than 10 times: "d" (2) and "c" (9).'
    many = np.array([f"place {k}" for k in range(300)])[rng.integers(0, 300, 1000)]
    found = one(find({"place": many}), "many-categories", "place")
    k, seen = np.unique(many, return_counts=True)
    assert found.what.startswith(f"{len(k)} categories, {1000 / len(k):.3g} rows each")
    assert f"{(seen < 10).sum()} of them are seen fewer than 10 times" in found.what
    assert "--columns place=drop" in found.advice and found.severity == "warning"


def test_names_with_spaces_are_quoted_in_commands() -> None:
    found = find({"my place": np.array([f"v {k}" for k in range(60)])[np.arange(300) % 60]})
    assert "--columns 'my place=drop'" in one(found, "many-categories", "my place").advice


def test_text_is_named() -> None:
    rng = np.random.default_rng(11)
    words = np.array("it was a good thing that we went there in time for tea".split())  # noqa: SIM905
    text = [" ".join(rng.choice(words, 15)) + f" {i}" for i in range(200)]
    assert "free text of" in one(find({"x": rng.normal(size=200), "comment": text}), "text", "comment").what


def test_unequal_classes() -> None:
    found = of_classes(np.array([500, 480, 12, 7]), ["a", "b", "c", "d"], "kind")
    assert [o.severity for o in found] == ["warning"] and found[0].column == "kind"
    assert found[0].what == "unequal classes: a has 500 rows, d has 7 rows; 2 of 4 have fewer than 20."
    assert of_classes(np.array([500, 480]), ["a", "b"], "kind") == []
    assert of_classes(np.array([50_000, 480]), ["a", "b"], "kind")[0].severity == "note"


# ------------------------------------------------------------------------------------------------ several columns


def test_few_rows() -> None:
    rng = np.random.default_rng(12)
    found = one(find(gaussian(rng, 60, 3)), "few-rows")
    assert found.what == "60 rows for 3 columns are very few." and "gmm" in found.advice
    wide = {f"c{j}": np.array(list("abcdefghijkl"))[rng.integers(0, 12, 200)] for j in range(4)}
    assert "have 44 degrees of freedom" in one(find(wide), "few-rows").what


def test_copied_rows_are_counted_where_chance_makes_none() -> None:
    rng = np.random.default_rng(13)
    cells = {"x": rng.normal(size=1000), "c": np.array(list("ab"))[rng.integers(0, 2, 1000)]}
    copied = {name: np.concatenate([v, v[:37]]) for name, v in cells.items()}
    found = one(find(copied), "copied-rows")
    assert found.what == "37 rows (3.6%) repeat an earlier row, cell by cell." and found.severity == "warning"
    cells["y"] = rng.normal(size=1000)
    assert "1 row (0.10%) repeats" in one(find({n: np.append(v, v[5]) for n, v in cells.items()}), "copied-rows").what
    assert find({"a": cells["c"], "b": rng.permutation(cells["c"])}) == []


def test_copies_of_columns() -> None:
    rng = np.random.default_rng(14)
    x = rng.normal(size=2000)
    near = x.copy()
    near[:60] += 1e-4
    holed = pa.array(x, mask=rng.random(2000) < 0.3)
    found = find({"x": x, "same": x, "grown": np.exp(3 * x), "falling": -x, "near": near, "holed": holed})
    assert one(found, "copy", "same").what == "equals x in every row."
    assert one(found, "copy", "grown").what == "rises with x (rank correlation 1)."
    assert one(found, "copy", "falling").what == "falls with x (rank correlation -1)."
    assert one(found, "copy", "near").what == "equals x in 97% of the rows."
    assert one(found, "copy", "holed").what == "equals x in every row."
    assert all(o.severity == "warning" and o.other == "x" for o in found if o.kind == "copy")
    noisy = x + 0.1 * rng.normal(size=2000)
    assert find({"x": x, "noisy": noisy}) == []


def test_functions_of_another_column() -> None:
    rng = np.random.default_rng(15)
    code = rng.integers(0, 30, 2000)
    town = np.array([f"town {k // 3}" for k in range(30)])[code]
    number = np.array([7.0, 1.0, 4.0] * 10)[code] + 10 * code
    found = find({"code": [f"c{c}" for c in code], "town": town, "number": number})
    town_rule = one(found, "function", "town")
    assert town_rule.what == f"is decided by {town_rule.other}: each of its 30 values goes with one value here."
    # code and number are one-to-one: either may be said to follow from the other.
    assert any(o.kind == "function" and "under other names" in o.what for o in found)
    broken = town.copy()
    broken[1999] = "town 0" if broken[1999] != "town 0" else "town 1"
    assert ("function", "town") not in kinds(find({"code": [f"c{c}" for c in code], "town": broken}))


def test_a_rule_that_only_the_sample_keeps_is_not_told() -> None:
    """Rules are found in some of the rows, and must hold in all."""
    rng = np.random.default_rng(16)
    n = 110_000
    code = rng.integers(0, 10, n).astype(float)
    town = code // 2
    outside = np.setdiff1d(np.arange(n), some_rows(n, 2))
    columns = tuple(Column(name, "category", tuple("abcdefghij"[:k])) for name, k in (("code", 10), ("town", 5)))
    x = np.stack([code, town], 1)
    assert ("function", "town") in kinds(find_oddities(x, columns, rules=find_dependencies))
    x[outside[0], 1] = (x[outside[0], 1] + 1) % 5
    assert ("function", "town") not in kinds(find_oddities(x, columns, rules=find_dependencies))


def test_missing_cells_that_depend_on_other_columns() -> None:
    rng = np.random.default_rng(17)
    n = 4000
    sex = rng.integers(0, 2, n)
    age = rng.normal(45, 12, n)
    income_mask = rng.random(n) < np.where(sex == 1, 0.4, 0.1)
    score_mask = rng.random(n) < np.where(age > np.quantile(age, 0.75), 0.5, 0.02)
    cells = {
        "sex": np.array(["f", "m"])[sex],
        "age": age,
        "income": pa.array(rng.normal(size=n), mask=income_mask),
        "score": pa.array(rng.normal(size=n), mask=score_mask),
        "test_a": pa.array(rng.normal(size=n), mask=(shared := rng.random(n) < 0.15)),
        "test_b": pa.array(rng.normal(size=n), mask=shared),
    }
    found = find(cells)
    rates = [share(income_mask[sex == s].mean()) for s in (1, 0)]
    assert one(found, "missing", "income").what == (
        f'cells are missing in {rates[0]} of the rows where sex is "m", and in {rates[1]} where it is "f".'
    )
    assert "where age is above " in one(found, "missing", "score").what
    together = one(found, "missing", "test_a").what
    assert together == f"its cells and those of test_b are missing in the same rows ({share(shared.mean())})."
    assert kinds(found) == {("missing", "income"), ("missing", "score"), ("missing", "test_a")}


# ------------------------------------------------------------------------------------------------ order


def test_rows_in_the_order_of_time() -> None:
    rng = np.random.default_rng(18)
    n = 1000
    walk = np.cumsum(rng.normal(size=n))
    day = np.datetime64("2020-01-01") + np.arange(n).astype("m8[D]")
    found = one(find({"when": day, "level": walk, "noise": rng.normal(size=n)}), "order", "when")
    assert "rows are in the order of when" in found.what and "level (" in found.what and "noise" not in found.what
    assert "--split-time when" in found.advice and found.severity == "warning"
    mixed = rng.permutation(n)
    assert ("order", "when") not in kinds(find({"when": day[mixed], "noise": rng.normal(size=n)}))


def test_rows_like_their_neighbours_and_sorted_rows() -> None:
    rng = np.random.default_rng(19)
    n = 2000
    series = np.zeros(n)
    for i in range(1, n):
        series[i] = 0.8 * series[i - 1] + rng.normal()
    found = one(find({"series": series, "noise": rng.normal(size=n)}), "order")
    assert found.severity == "warning" and "series (0." in found.what and "noise" not in found.what
    said = float(found.what.split("series (")[1][:4])
    assert said == pytest.approx(0.8, abs=0.06)
    price = np.sort(rng.gamma(2, 100, n))
    assert "sorted by price" in one(find({"price": price, "noise": rng.normal(size=n)}), "order", "price").what
    kind = np.repeat(list("abcd"), n // 4)
    assert "in blocks of kind" in one(find({"x": rng.normal(size=n), "kind": kind}), "order", "kind").what


# ------------------------------------------------------------------------------------------------ large, arrays


def test_large_tables_are_sampled_and_it_is_said() -> None:
    rng = np.random.default_rng(20)
    n = 400_000
    zeros = np.where(rng.random(n) < 0.3, 0.0, rng.normal(50, 10, n))
    zeros[123_456] = 1e6
    rare = np.zeros(n)
    rare[:3] = 1
    x = np.stack([zeros, rare], 1)
    columns = (
        Column("x", "continuous", (), float(zeros.min()), 1e6),
        Column("c", "category", ("a", "b")),
    )
    (numbers, _) = seen = profiles(x, columns)
    assert numbers.scale == 4 and numbers.rows(1000) == "about 4,000 rows"
    found = find_oddities(x, columns, seen=seen)
    assert "0 (30% of the cells)" in one(found, "spike", "x").what
    assert "1,000,000 (a few rows) lies far" in one(found, "far", "x").what  # the ends are those of all rows
    assert '"b" (3)' in one(found, "rare", "c").what  # categories are counted in all rows


def test_advice_for_arrays_is_for_arrays() -> None:
    rng = np.random.default_rng(21)
    x = np.stack([np.where(rng.random(1000) < 0.3, 0, rng.normal(size=1000)), rng.lognormal(0, 2, 1000)], 1)
    x = np.concatenate([x, x[:, :1]], 1)
    columns = [Column(str(j), "continuous", (), float(x[:, j].min()), float(x[:, j].max())) for j in range(3)]
    found = find_oddities(x, columns, seen=profiles(x, columns, tabular=False))
    assert one(found, "spike", "0").severity == "warning" and "table" in one(found, "spike", "0").advice
    assert "logarithms" in one(found, "heavy-tail", "1").advice
    assert "leave the column out of the array" in one(found, "copy", "2").advice


def test_warnings_come_first() -> None:
    rng = np.random.default_rng(22)
    x = rng.normal(size=1000)
    gain = np.where(rng.random(1000) < 0.6, 0, rng.integers(1, 10_000, 1000))
    order = [o.severity for o in find({"gain": gain, "x": x, "same": x})]
    assert order == sorted(order, reverse=True) and set(order) == {"warning", "note"}


# ------------------------------------------------------------------------------------------------ words


def test_numbers_in_words() -> None:
    assert [share(f) for f in (0.0, 1.0, 0.92, 0.094, 0.0949, 0.0052, 0.99999, 0.999, 0.9999, 1e-6)] == [
        "0%", "100%", "92%", "9.4%", "9.5%", "0.52%", "over 99.99%", "99.9%", "99.99%", "under 0.01%",
    ]  # fmt: skip
    assert [amount(v) for v in (0, 2015, 12_345, 2015.5, -1.5, 0.000123456, 1e20)] == [
        "0", "2015", "12,345", "2016", "-1.5", "0.0001235", "1e+20",
    ]  # fmt: skip
    assert listed(["a"]) == "a" and listed(["a", "b"]) == "a and b" and listed(list("abcde")) == "a, b, c and 2 more"


def test_ranks_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    x = np.random.default_rng(23).integers(0, 20, 300).astype(float)
    expected = stats.rankdata(x)
    np.testing.assert_allclose(centred_ranks(x), expected - expected.mean())
