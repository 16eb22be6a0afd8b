"""Metrics against the libraries that are their oracles; a whole evaluation of 10,000 x 784 in seconds and memory."""

from __future__ import annotations

import time
import warnings

import numpy as np
import torch
from common import arguments, interleaved, report

import pushforward as pf
from pushforward.evaluation.metrics.frechet import frechet_distance
from pushforward.evaluation.metrics.kernels import kernel_distance
from pushforward.evaluation.metrics.neighbours import neighbour_statistics
from pushforward.evaluation.metrics.wasserstein import sliced_wasserstein
from pushforward.training.memory import Peak


def pictures(n: int, seed: int) -> np.ndarray:
    """Smooth 28x28 pictures of 256 levels: three blobs each."""
    generator = np.random.default_rng(seed)
    line = np.arange(28.0)
    x = np.zeros((n, 28, 28))
    for _ in range(3):
        at, width = 6 + 16 * generator.random((n, 2)), 1.5 + 2 * generator.random(n)
        across, down = (np.exp(-((line - at[:, k, None]) ** 2) / (2 * width[:, None] ** 2)) for k in (0, 1))
        x += across[:, None] * down[:, :, None]
    return (255 * x.clip(0, 1)).astype(np.uint8)


def against_peers(repeats: int) -> dict[str, float]:
    """Seconds of the peer over ours, on the same float64 rows, in one process."""
    import ot
    from prdc import compute_prdc
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    warnings.filterwarnings("ignore")
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 64, dtype=torch.float64, generator=generator) for n in (4000, 4000))

    class Identity(torch.nn.Module):
        num_features = 64

        def forward(self, v: torch.Tensor) -> torch.Tensor:
            return v

    def frechet() -> None:
        metric = FrechetInceptionDistance(Identity(), input_img_size=(64,)).set_dtype(torch.float64)
        metric.update(x, real=True)
        metric.update(y, real=False)
        metric.compute()

    def kernel() -> None:
        metric = KernelInceptionDistance(Identity(), subsets=1, subset_size=4000)
        metric.update(x, real=True)
        metric.update(y, real=False)
        metric.compute()

    pairs = {
        "Frechet distance, torchmetrics": (frechet, lambda: frechet_distance(x, y)),
        "KID, torchmetrics": (kernel, lambda: kernel_distance(x, y)),
        "precision, recall, density, coverage, prdc": (
            lambda: compute_prdc(x.numpy(), y.numpy(), nearest_k=5), lambda: neighbour_statistics(x, y),
        ),
        "sliced W2, POT": (
            lambda: ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), n_projections=128, seed=0),
            lambda: sliced_wasserstein(x, y),
        ),
    }  # fmt: skip
    rows = {}
    for name, (peer, ours) in pairs.items():
        times = interleaved({"peer": peer, "ours": ours}, repeats)
        rows[f"{name}: peer, s"], rows[f"{name}: ours, s"] = times["peer"], times["ours"]
        rows[f"{name}: ratio"] = times["peer"] / times["ours"]
    return rows


def whole() -> dict[str, float]:
    """Every metric of 10,000 samples of 784 pixels (five sets of 2,000), with floors and calibrations."""
    data = pf.load({"train_images": pictures(20_000, 0), "test_images": pictures(10_000, 1)})
    samples = torch.from_numpy(pictures(10_000, 2))[:, None]
    peak, begun = Peak(), time.perf_counter()
    found = pf.evaluate(samples, data, n=2_000, sets=5)
    return {
        "whole evaluation of 10,000 x 784, s": time.perf_counter() - begun,
        "its peak memory, GB": peak.bytes() / 1e9,
        "its metrics": len(found.metrics),
        "metrics that accuse this perfect sampler": sum(bool(v.outside) for v in found.rows[0].values.values()),
    }


def main() -> None:
    args = arguments(repeats={"type": int, "default": 5}, threads={"type": int, "default": 1})
    torch.set_num_threads(args.threads)
    rows: dict[str, float] = {"torch threads": args.threads}
    rows.update(whole())
    rows.update(against_peers(args.repeats))
    report("evaluation", rows, args.write)


if __name__ == "__main__":
    main()
