"""What sampling costs: time and network evaluations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .results import Cost


@contextmanager
def counted(model: torch.nn.Module) -> Iterator[list[int]]:
    """Counts how often the model's networks are called inside the block: [the most called one's calls].

    A network is a direct child with parameters of the core: the thing that is evaluated once by a GAN and once a step
    by a diffusion.
    """
    core = getattr(model, "core", model)
    networks = [child for child in core.children() if any(True for _ in child.parameters())]
    calls = [0] * len(networks)
    most = [0]

    def count(k: int) -> Any:
        def hook(*_: Any) -> None:
            calls[k] += 1
            most[0] = max(calls)

        return hook

    handles = [network.register_forward_pre_hook(count(k)) for k, network in enumerate(networks)]
    try:
        yield most
    finally:
        for handle in handles:
            handle.remove()


def sampling_cost(model: Any, n: int, seed: int, **options: Any) -> tuple[Any, Cost]:
    """n samples of a model, and what they cost."""
    with counted(model) as calls:
        model.sample(2, seed=seed + 1, **options)  # also warms up
        evaluations = calls[0] or None
    begun = time.perf_counter()
    samples = model.sample(n, seed=seed, **options)
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - begun
    parameters = sum(p.numel() for p in model.parameters())
    return samples, Cost(
        parameters=parameters or None,
        seconds_per_1000=1000 * seconds / n,
        evaluations=evaluations,
        threads=model.threads or torch.get_num_threads(),
        device=str(model.device),
    )
