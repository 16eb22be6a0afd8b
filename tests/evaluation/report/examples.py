"""Reports of every kind, made up: no model stands behind them."""

from __future__ import annotations

import math

import numpy as np

from pushforward.evaluation.likelihood.ledger import Difference, Likelihood
from pushforward.evaluation.results import Cost, Floor, MetricInfo, Pictures, Report, Row, Value
from pushforward.spaces import Column, Pixels, Real, Space, Sphere, Table, Tokens, Torus

MODELS = ("gmm", "kde", "real-nvp", "ddpm", "vae", "flow-matching", "gan")
CALIBRATIONS = ("copycat", "independent", "gaussian", "noise")

METRICS = [
    MetricInfo("frechet:pca64", "FD[pca64]", "distance", "lower", "The Frechet distance between Gaussians fitted to "
               "features of samples and of data. It is 0 when means and covariances agree.", 0.0,
               "64 principal components of the training split, sha256 3f9ac2", True),
    MetricInfo("kid:pca64", "KID[pca64]", "distance", "lower", "The squared maximum mean discrepancy with a cubic "
               "kernel. It is unbiased, so it may be below 0.", 0.0, "64 principal components, sha256 3f9ac2", True),
    MetricInfo("sliced", "sliced W2", "distance", "lower", "The Wasserstein distance of one-dimensional projections. "
               "It is in the data's own units.", 0.0, headline=True),
    MetricInfo("c2st", "C2ST", "distance", "lower", "The accuracy of a classifier that tells samples from data. One "
               "half is chance.", 0.5, headline=True),
    MetricInfo("precision", "precision", "support", "higher", "The share of samples that lie near data. Low values are "
               "samples that look like nothing real.", 1.0, headline=True),
    MetricInfo("recall", "recall", "support", "higher", "The share of data that lie near samples. Low values are parts "
               "of the data that are never drawn.", 1.0, headline=True),
    MetricInfo("coverage", "coverage", "support", "higher", "The share of data with a sample nearby.", 1.0),
    MetricInfo("ct", "C_T", "memorization", "floor", "Whether samples lie nearer to training examples than held-out "
               "data do. Below 0 they do.", 0.0),
    MetricInfo("authenticity", "authenticity", "memorization", "floor", "The share of samples that are no near copies. "
               "Held-out data have the floor's.", None),
]  # fmt: skip


def _value(rng: np.random.Generator, centre: float, spread: float, floor: Floor, metric: MetricInfo) -> Value:
    each = tuple(float(v) for v in centre + spread * rng.standard_normal(6))
    mean, half = float(np.mean(each)), float(2.5 * np.std(each, ddof=1) / math.sqrt(6))
    bad = mean < floor.low if metric.better == "higher" else mean > floor.high
    if metric.better == "floor":
        bad = not floor.low <= mean <= floor.high
    p = float(rng.uniform()) ** 3 if metric.key in ("c2st", "ct") else None
    if metric.key == "coverage":  # calibrations are drawn once
        return Value(mean, 2000, outside=bad)
    return Value(mean, 2000, mean - half, mean + half, 2, 3, each, bad, p)


def _report(title: str, space: Space, data: np.ndarray, samples: dict[str, np.ndarray], *, seed: int = 0,
            names: tuple[str, ...] = MODELS) -> Report:  # fmt: skip
    rng = np.random.default_rng(seed)
    floors = {
        "frechet:pca64": Floor(0.44, 0.38, 0.51, 0.03, 2000, 20), "kid:pca64": Floor(1e-5, -4e-4, 5e-4, 2e-4, 2000, 20),
        "sliced": Floor(0.021, 0.015, 0.03, 0.004, 2000, 20), "c2st": Floor(0.5, 0.47, 0.531, 0.012, 2000, 0),
        "precision": Floor(0.957, 0.94, 0.972, 0.006, 2000, 20), "recall": Floor(0.955, 0.938, 0.97, 0.006, 2000, 20),
        "coverage": Floor(0.962, 0.945, 0.977, 0.006, 2000, 20), "ct": Floor(0.1, -2.1, 2.2, 1.0, 2000, 20),
        "authenticity": Floor(0.51, 0.47, 0.55, 0.02, 2000, 20),
    }  # fmt: skip
    rows = []
    for k, name in enumerate([*names, *CALIBRATIONS]):
        model = k < len(names)
        row = Row(name, "model" if model else "calibration", "" if model else "what it would be without a model")
        factor = 3.3 ** (k - 0.5) if name != "copycat" else 0.9
        for metric in METRICS:
            floor = floors[metric.key]
            if metric.key == "authenticity" and name == "noise":
                row.missing[metric.key] = "no sample is near any training example"
                continue
            if metric.better == "lower":
                far = floor.mean + (floor.high - floor.mean) * factor
            else:
                far = floor.mean * 0.93**k if metric.better == "higher" else floor.mean - 0.4 * k
            row.values[metric.key] = _value(
                rng, min(far, 1.0) if metric.key == "c2st" else far, floor.std, floor, metric
            )
        if model:
            row.cost = Cost(120_000 * (k + 1) ** 2, 14.0 * (k + 1) ** 2, 3000, 0.03 * 4**k, None if k < 2 else 2**k,
                            int(4.2e8 + 3e7 * k), 2, "cpu")  # fmt: skip
            kind = ("exact", "exact", "exact", "lower bound", "lower bound", "estimate", "unavailable")[k % 7]
            if kind == "unavailable":
                row.likelihood = Likelihood(kind, "A GAN has samples but no density; look at coverage instead.")
            else:
                row.likelihood = Likelihood(
                    kind, "", -123.4567 - 7 * k, 0.51 + 0.1 * k, 1000, None if kind == "exact" else 16,
                    0.02 if kind == "lower bound" else None, 0.013 if kind == "estimate" else None,
                    2.3 + 0.1 * k if isinstance(space, Pixels) else None, "nats per example", space.measure,
                    "x + u, u uniform in [0, 1), 4 draws" if isinstance(space, Pixels) else "",
                    {"exact": "change of variables", "estimate": "ODE, 100 Heun steps"}.get(kind, "ELBO"),
                )  # fmt: skip
            row.runs = [f"runs/{name}-{s}" for s in range(3)]
            if k == 3:
                row.notes = ["Training stopped by the budget before its held-out loss stopped falling."]
        rows.append(row)
    likely = [r.name for r in rows if r.likelihood is not None and r.likelihood.mean is not None]
    differences = []
    for i, a in enumerate(likely):
        for j, b in enumerate(likely[i + 1 :], i + 1):
            claimed = j > i + 1
            mean = 7.0 * (j - i) if claimed else 1.0
            words = f"{a} is more likely than {b} by {mean:.1f} nats" if claimed else "no difference shown"
            differences.append(
                Difference(a, b, mean, mean - 2.2, mean + 2.2, 10.0 ** (-4 * (j - i) + 4), claimed, words)
            )
    steps = [float(s) for s in range(0, 3000, 5)]
    curve = 40 * np.exp(-np.array(steps) / 500) + 5
    histories: dict[str, tuple[list[float], dict[str, list[float]]]] = {}
    for k, name in enumerate(names):
        noisy = (curve * (1 + 0.1 * rng.standard_normal(len(steps)))).tolist()
        series = {"loss": noisy}
        if name == "gan":
            series = {"discriminator": noisy, "generator": (50 - curve / 2).tolist()}
        if k == 3:
            series = {
                "loss": noisy,
                "held-out": [v if i % 40 == 0 else math.nan for i, v in enumerate((curve + 1).tolist())],
            }
        histories[name] = (steps, series)
    held = {name: rng.standard_normal(1000) - 0.35 * k for k, name in enumerate(likely[:5])}
    own = {name: rng.standard_normal(1000) for name in likely[:5]}
    nearest = {}
    for name in names:
        if name in samples and len(data) > 20:
            nearest[name] = (samples[name][:8], data[10:18])
    return Report(
        title,
        {"name": title.split(":")[0], "source": "built in", "description": space.describe(),
         "rows": {"train": 12_000, "validation": 1500, "test": 1500}, "sha256": "9f86d081884c7d659a2feaa0c55ad015" * 2},
        list(METRICS), floors, rows, differences,
        [f"{names[0]} is closest to the data: none of its metrics leaves the floor's interval.",
         f"No difference is shown between {names[0]} and {names[-1]}.", "The GAN covers 71% of the data's support.",
         "The VAE's likelihood is a bound."],
        {"n": 2000, "sets": 2, "seeds": 3, "budget": "60 s a model and seed", "level": 0.95, "match": None,
         "command": "pushforward compare digits --budget 1m --seeds 3 --out comparison"},
        {"pushforward": "0.1.0", "torch": "2.13.0", "python": "3.11.7", "threads": 2, "processor": "x86_64, 2 cores"},
        ["Only 1,500 held-out rows: floors are wide."],
        Pictures(space, data, samples, nearest, histories, held, own),
    )  # fmt: skip


def digits() -> Report:
    """Pictures of 28x28 grey pixels, seven models."""
    rng = np.random.default_rng(1)
    space = Pixels(1, 28, 28)

    def draw(n: int, blur: float) -> np.ndarray:
        y, x = np.mgrid[:28, :28]
        centre = rng.uniform(9, 19, (n, 2, 1, 1))
        radius = rng.uniform(4, 8, (n, 1, 1))
        ring = np.exp(-((np.hypot(x - centre[:, 0], y - centre[:, 1]) - radius) ** 2) / (2 + blur))
        return (255 * ring.clip(0, 1)).astype(np.uint8)[:, None]

    samples = {name: draw(64, 3.0 * k) for k, name in enumerate(MODELS)}
    samples["copycat"] = draw(64, 0)
    samples["noise"] = rng.integers(0, 256, (64, 1, 28, 28), dtype=np.uint8)
    return _report("digits: 7 models", space, draw(64, 0), samples)


def colours(models: int = 10) -> Report:
    """Colour pictures, ten models: the largest page."""
    rng = np.random.default_rng(2)
    space = Pixels(3, 32, 32)
    names = tuple(f"model-{k}" for k in range(models))
    samples = {name: rng.integers(0, 256, (64, 3, 32, 32), dtype=np.uint8) for name in [*names, *CALIBRATIONS]}
    return _report("colours", space, rng.integers(0, 256, (64, 3, 32, 32), dtype=np.uint8), samples, names=names)


def ring_of(rng: np.random.Generator, n: int, std: float, modes: int = 8) -> np.ndarray:
    angle = rng.integers(0, modes, n) * 2 * np.pi / 8
    return np.stack([np.cos(angle), np.sin(angle)], 1) + std * rng.standard_normal((n, 2))


def ring() -> Report:
    """Points of the plane."""
    rng = np.random.default_rng(3)
    samples = {name: ring_of(rng, 4000, 0.05 + 0.02 * k, 8 - k % 3) for k, name in enumerate(MODELS)}
    samples["noise"] = rng.standard_normal((4000, 2))
    return _report("ring: 7 models", Real((2,), ("x", "y")), ring_of(rng, 4000, 0.05), samples)


COLUMNS = (
    Column("age", "integer", low=17, high=90, step=1.0),
    Column("income", "continuous", low=0, high=2e5, missing=True),
    Column("city", "category", tuple(f"city {k}" for k in range(20))),
    Column("degree", "ordinal", ("none", "school", "bachelor", "master", "doctor")),
    Column("member", "boolean", ("false", "true")),
    Column("since", "datetime", low=1e9, high=1.7e9, step=86400.0),
    *(Column(f"measure {k}", "continuous", low=-3, high=3) for k in range(8)),
)


def rows_of(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    z = rng.standard_normal((n, 14))
    z[:, 1] = rho * z[:, 0] + math.sqrt(1 - rho**2) * z[:, 1]
    x = z.copy()
    x[:, 0] = np.clip(np.round(40 + 12 * z[:, 0]), 17, 90)
    x[:, 1] = np.where(rng.uniform(size=n) < 0.1, np.nan, np.exp(10 + 0.6 * z[:, 1]))
    x[:, 2] = np.minimum(rng.geometric(0.2, n) - 1, 19)
    x[:, 3] = np.clip(np.round(2 + z[:, 0]), 0, 4)
    x[:, 4] = z[:, 4] > 0.5
    x[:, 5] = 86400 * np.round((1.4e9 + 1e8 * z[:, 5]) / 86400)
    return x


def table() -> Report:
    """A table of mixed columns with missing cells, three models."""
    rng = np.random.default_rng(4)
    names = ("gmm", "real-nvp", "vae")
    samples = {name: rows_of(rng, 3000, 0.8 - 0.35 * k) for k, name in enumerate(names)}
    samples["vae"][:, 6] *= 0.5
    samples["independent"] = rows_of(rng, 3000, 0.0)
    return _report("people.csv: 3 models", Table(COLUMNS), rows_of(rng, 3000, 0.8), samples, names=names)


def text() -> Report:
    """Windows of text."""
    rng = np.random.default_rng(5)
    letters = "\n !,.abcdefghijklmnopqrstuvwxyz"
    space = Tokens(96, len(letters), letters)
    weights = np.where(np.array(list(letters)) == " ", 0.18, 0.82 / (len(letters) - 1))
    samples = {name: rng.choice(len(letters), (30, 96), p=weights) for name in MODELS[:2]}
    return _report("a book: 2 models", space, rng.choice(len(letters), (30, 96), p=weights), samples, names=MODELS[:2])


def earth() -> Report:
    """Points of the earth by latitude and longitude."""
    rng = np.random.default_rng(6)

    def draw(n: int, spread: float) -> np.ndarray:
        x = rng.standard_normal((n, 3)) * spread + np.array([0.5, 1.0, 0.4])
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    space = Sphere(2, ("lat", "lon"))
    samples = {name: draw(3000, 0.3 + 0.3 * k) for k, name in enumerate(MODELS[:2])}
    return _report("quakes: 2 models", space, draw(3000, 0.3), samples, names=MODELS[:2])


def angles() -> Report:
    """Two angles in degrees."""
    rng = np.random.default_rng(7)

    def draw(n: int) -> np.ndarray:
        return (rng.vonmises(1.0, 3.0, (n, 2)) + np.pi) % (2 * np.pi) - np.pi

    space = Torus(2, ("phi", "psi"), 360.0, -180.0)
    return _report("angles: 2 models", space, draw(3000), {n: draw(3000) for n in MODELS[:2]}, names=MODELS[:2])


def vectors() -> Report:
    """Vectors of 30 numbers: the worst columns and pairs are chosen."""
    rng = np.random.default_rng(8)
    samples = {name: rng.standard_normal((2000, 30)) for name in MODELS[:2]}
    samples["kde"][:, 17] += 1.0
    samples["gmm"][:, 5] = samples["gmm"][:, 3]
    return _report("vectors: 2 models", Real((30,)), rng.standard_normal((2000, 30)), samples, names=MODELS[:2])


def single() -> Report:
    """One model alone, as `evaluate` gives it, without calibrations."""
    report = ring()
    report.rows = report.rows[:1]
    report.differences = []
    report.title = "ring: gmm"
    assert report.pictures is not None
    for found in ("samples", "nearest", "histories", "held_out", "own"):
        held = getattr(report.pictures, found)
        setattr(report.pictures, found, {k: v for k, v in held.items() if k == "gmm"})
    return report


def empty() -> Report:
    """Nothing at all."""
    return Report("nothing", {}, [], {}, [])


def missing() -> Report:
    """Models of which nothing could be measured."""
    report = _report("missing", Real((2,)), np.zeros((0, 2)), {}, names=MODELS[:3])
    for row in report.rows:
        row.missing = {m.key: "n = 40 is less than 2 d = 128: use fewer features" for m in report.metrics}
        row.values, row.likelihood, row.cost = {}, None, None
    report.floor, report.pictures, report.verdict, report.warnings, report.differences = {}, None, [], [], []
    return report


def extreme() -> Report:
    """Infinite, undefined, huge and tiny values."""
    report = ring()
    values = [math.inf, -math.inf, math.nan, 1e300, -1e-300, 0.0, 123456789.123]
    for row, value in zip(report.rows, values):
        row.values["frechet:pca64"] = Value(value, 2000, outside=True)
        row.values["sliced"] = Value(1.0, 2000, math.nan, math.inf, 2, 1, outside=None)
        row.cost = Cost(None, math.inf, None, math.nan)
        row.likelihood = Likelihood("exact", "", value, math.nan, 10)
    report.differences = [
        Difference("gmm", "kde", math.inf, math.nan, math.inf, math.nan, False, "no difference shown")
    ]
    assert report.pictures is not None
    report.pictures.held_out["gmm"] = np.array([math.nan, -math.inf, 1.0, 2.0])
    report.pictures.histories["kde"] = ([0.0, 1.0, 2.0], {"loss": [math.nan, math.inf, 1.0], "none": [math.nan] * 3})
    report.pictures.samples["kde"][0] = math.inf
    report.pictures.samples["vae"][:] = math.nan
    return report


EVIL = '<script>alert("1")</script>&\'"><img src=http://evil.example/x onerror=alert(1)>\x00\x1b\u202e\ud800</style>'


def hostile() -> Report:
    """Names that would be markup, have no width, or cannot be encoded."""
    report = table()
    old = [row.name for row in report.rows]
    names = {name: f"{EVIL}{k}" for k, name in enumerate(old)}
    for row in report.rows:
        row.name, row.about, row.notes, row.runs = names[row.name], EVIL, [EVIL], [EVIL]
        row.missing = {"kid:pca64": EVIL}
        row.values.pop("kid:pca64", None)
    report.title, report.verdict, report.warnings = EVIL, [EVIL], [EVIL]
    report.data, report.settings, report.environment = ({EVIL: EVIL, "nested": {EVIL: [EVIL, {EVIL: EVIL}]}},) * 3
    report.metrics = [MetricInfo(m.key, EVIL, EVIL, m.better, EVIL, m.perfect, EVIL, m.headline) for m in METRICS]
    report.differences = [Difference(EVIL, EVIL, 1.0, 0.5, 1.5, 0.01, True, EVIL)]
    pictures = report.pictures
    assert pictures is not None
    columns = [Column(EVIL + str(k), c.kind, tuple(EVIL + v for v in c.categories), c.low, c.high, c.step, c.missing)
               for k, c in enumerate(COLUMNS)]  # fmt: skip
    pictures.space = Table(tuple(columns))
    for found in ("samples", "nearest", "histories", "held_out", "own"):
        setattr(pictures, found, {names[k]: v for k, v in getattr(pictures, found).items()})
    pictures.histories = {
        k: (steps, {EVIL + key: v for key, v in series.items()}) for k, (steps, series) in pictures.histories.items()
    }
    return report


def long() -> Report:
    """Names of hundreds of letters, without a space to break them at, and of other scripts."""
    report = table()
    new = {"gmm": "a-model-with-a-very-long-name" * 12, "real-nvp": "生成模型" * 20, "vae": "W" * 60}
    for row in report.rows:
        row.name = new.get(row.name, row.name)
    report.title = "averyveryverylongfilename" * 12
    pictures = report.pictures
    assert pictures is not None
    for found in ("samples", "nearest", "histories", "held_out", "own"):
        setattr(pictures, found, {new.get(k, k): v for k, v in getattr(pictures, found).items()})
    pictures.space = Table(tuple(
        Column(c.name + "_of_the_second_quarter_as_reported" * 4, c.kind, tuple(v * 12 for v in c.categories), c.low,
               c.high, c.step, c.missing) for c in COLUMNS
    ))  # fmt: skip
    return report


_MADE = (digits, colours, ring, table, text, earth, angles, vectors, single, empty, missing, extreme, hostile, long)
ALL = {f.__name__: f for f in _MADE}
