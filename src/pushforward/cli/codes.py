"""`pushforward encode` and `decode`: data to codes and back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from ..errors import InputError
from .common import check_samples_file, condition_name, open_model, parse_condition, read_data, refuse_existing
from .options import Device, OnDevice, Run, Source
from .output import Output, clock

_SUFFIXES = (".npz", ".npy", ".csv")

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace --out.")]
Draw = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--seed", min=0, metavar="S", help="Draw with this seed.  [default: no draw, the mean]"),
]


def encode(
    context: typer.Context,
    run: Run,
    data: Source,
    out: Annotated[Path, typer.Option(metavar="FILE", help=".npz (with the conditions), .npy or .csv.")],
    condition: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="Where DATA has the condition.  [default: as in training]"),
    ] = None,
    seed: Draw = None,
    device: OnDevice = Device.auto,
    overwrite: Overwrite = False,
) -> None:
    """Turn DATA into codes of a run's model.

    Latent variables (vae), base noise (flows), responsibilities (gmm).
    """
    output: Output = context.obj
    refuse_existing(out, overwrite)
    _check_suffix(out)
    opened, model = open_model(run, device.value, output)
    x, given = read_data(opened, model, data, condition)
    begun = time.monotonic()
    codes = model.encode(x, given, seed=seed).cpu()
    seconds = time.monotonic() - begun
    write_codes(out, codes, None if given is None else given.cpu())
    document = {"run": opened.folder, "n": len(codes), "shape": list(codes.shape[1:]), "file": out, "seconds": seconds}
    shape = " x ".join(map(str, codes.shape[1:]))
    output.result(document, lambda: print(f"{out}: {len(codes):,} codes of {shape} in {clock(seconds)}"))


def decode(
    context: typer.Context,
    run: Run,
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="What `encode` wrote.")],
    out: Annotated[str, typer.Option(metavar="FILE", help=".png, .csv, .parquet, .npz, or a folder.")],
    condition: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="COLUMN=VALUE", help="One condition for all.  [default: those in CODES]"),
    ] = None,
    seed: Draw = None,
    device: OnDevice = Device.auto,
    overwrite: Overwrite = False,
) -> None:
    """Turn CODES back into data."""
    output: Output = context.obj
    check_samples_file(out, overwrite)
    z, kept = read_codes(codes)
    from ..data import write_samples

    opened, model = open_model(run, device.value, output)
    if model.code_space is not None:
        z = _shaped(z, model.code_space, codes)
    column = opened.document["data"]["options"].get("condition")
    given = parse_condition(condition, model.condition_space, column)
    if given is None and model.condition_space is not None:
        given = kept
    begun = time.monotonic()
    decoded = model.decode(z, given, seed=seed).cpu()
    seconds = time.monotonic() - begun
    conditions = model.check_condition(given, len(decoded), required=False)
    written = write_samples(
        out,
        decoded,
        model.space,
        condition=None if conditions is None else conditions.cpu(),
        condition_space=model.condition_space,
        condition_name=condition_name(opened),
        overwrite=overwrite,
    )
    document = {"run": opened.folder, "n": len(decoded), "file": written, "seconds": seconds}
    output.result(document, lambda: print(f"{written}: {len(decoded):,} examples in {clock(seconds)}"))


def write_codes(path: Path, codes: Any, condition: Any) -> None:
    """`.npz`: arrays `codes` and `condition`; `.npy`: codes; `.csv`: codes as columns z1, z2, ..."""
    import numpy as np

    from ..data.write import replacing
    from ..training.files import explained

    array, final = codes.numpy(), path
    with explained(final), replacing(final) as path:
        if path.suffix == ".npz":
            np.savez(path, codes=array, **({} if condition is None else {"condition": condition.numpy()}))
        elif path.suffix == ".npy":
            np.save(path, array)
        else:
            flat = array.reshape(len(array), -1)
            header = ",".join(f"z{i + 1}" for i in range(flat.shape[1]))
            whole = np.issubdtype(array.dtype, np.integer)
            np.savetxt(path, flat, delimiter=",", header=header, comments="", fmt="%d" if whole else "%.9g")


def read_codes(path: Path) -> tuple[Any, Any]:
    """(codes, condition or None) of a file that `write_codes` wrote. Nothing is unpickled.

    Raises:
        InputError: missing, damaged, or not numbers.
    """
    import numpy as np

    _check_suffix(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}.", "`pushforward encode RUN DATA --out codes.npz` writes one.")
    try:
        if path.suffix == ".csv":
            return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2), None
        loaded = np.load(path, allow_pickle=False)
        if path.suffix == ".npy":
            return np.asarray(loaded), None
        if "codes" not in loaded.files:
            raise InputError(f"{path} has no array 'codes'.", f"It has: {', '.join(loaded.files) or 'nothing'}.")
        return loaded["codes"], loaded["condition"] if "condition" in loaded.files else None
    except InputError:
        raise
    except Exception as error:  # NumPy raises whatever a damaged file makes it raise
        raise InputError(f"{path} is not a file of codes ({str(error).splitlines()[0][:120]}).") from None


def _shaped(z: Any, space: Any, path: Path) -> Any:
    """Flat rows of a CSV in the shape and type of the code space."""
    import torch

    if z.ndim == 2 and len(space.shape) > 1 and z.shape[1] == space.dimensions:
        z = z.reshape(len(z), *space.shape)
    if z.dtype.kind not in "biuf":
        raise InputError(f"{path} holds {z.dtype}, not numbers.")
    return torch.as_tensor(z).to(space.dtype)


def _check_suffix(path: Path) -> None:
    if path.suffix not in _SUFFIXES:
        raise InputError(f"{path}: codes are {', '.join(_SUFFIXES)}.")
