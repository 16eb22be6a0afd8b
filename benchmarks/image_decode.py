"""Pictures a second from files to one array: listing, headers, decoding; against a plain loop over Pillow."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from common import arguments, report
from PIL import Image

from pushforward.data.data import open_source
from pushforward.data.options import Options


def picture(rng: np.random.Generator, side: int) -> Image.Image:
    """Two colour ramps and some noise: about as hard to unpack as a photograph."""
    ramp = np.linspace(0, 255, side)
    values = ramp[:, None, None] * rng.random(3) + ramp[None, :, None] * rng.random(3)
    return Image.fromarray(np.clip(values + rng.normal(0, 8, (side, side, 3)), 0, 255).astype(np.uint8))


def folder(root: Path, n: int, form: str, side: int = 32) -> Path:
    rng = np.random.default_rng(0)
    for i in range(n):
        place = root / form / f"class{i * 10 // n}"
        place.mkdir(parents=True, exist_ok=True)
        picture(rng, side).save(place / f"{i:06d}.{form}", **({"quality": 90} if form == "jpg" else {}))
    return root / form


def parquet(root: Path, source: Path) -> Path:
    """The pictures of a folder as a column of a Parquet file."""
    cells = [{"bytes": path.read_bytes(), "path": path.name} for path in sorted(source.rglob("*.*"))]
    pq.write_table(pa.table({"image": cells}), root / "pictures.parquet")
    return root / "pictures.parquet"


def ours(source: Path, **options: Any) -> int:
    """Pictures read."""
    return len(open_source(source, Options.of(**options), {}).read().x)


def plain(source: Path) -> int:
    paths = sorted(p for p in source.rglob("*") if p.is_file())
    return len(np.stack([np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1) for path in paths]))


def main() -> None:
    args = arguments(n={"type": int, "default": 50_000}, repeats={"type": int, "default": 3})
    torch.set_num_threads(1)
    rates: dict[str, list[float]] = {}
    work: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        png, jpeg = (folder(root, args.n, form) for form in ("png", "jpg"))
        column = parquet(root, png)
        photos = root / "photos"
        photos.mkdir()
        large = io.BytesIO()
        picture(np.random.default_rng(1), 1600).save(large, "JPEG", quality=90)
        for i in range(200):
            (photos / f"{i}.jpg").write_bytes(large.getvalue())
        jobs: dict[str, Callable[[], int]] = {
            "PNG files of 32x32": lambda: ours(png),
            "PNG files of 32x32, plain loop over Pillow": lambda: plain(png),
            "JPEG files of 32x32": lambda: ours(jpeg),
            "JPEG files of 32x32, plain loop over Pillow": lambda: plain(jpeg),
            "Parquet column of the PNGs": lambda: ours(column),
            "JPEG photographs of 1600x1600 to 64x64": lambda: ours(photos, image_size=64),
        }
        for _ in range(args.repeats):
            for name, job in jobs.items():
                begun, worked = time.perf_counter(), time.process_time()
                count = job()
                rates.setdefault(name, []).append(count / (time.perf_counter() - begun))
                work.setdefault(name, []).append((time.process_time() - worked) / count * 1e6)
    rows: dict[str, Any] = {"small pictures": args.n}
    for name in jobs:
        rows[f"{name}: pictures/s"] = float(np.median(rates[name]))
        rows[f"{name}: processor us a picture"] = float(np.median(work[name]))
    report("image_decode", rows, args.write)


if __name__ == "__main__":
    main()
