"""A run: a folder with everything needed to resume, sample and score.

```
runs/digits-vae/
  config.yaml       model, settings, training, data: all resolved
  environment.json  data.json  status.json
  metrics.jsonl  log.txt  loss.png  samples/step_*.png
  model/            model.safetensors, model.json: what sample needs
  checkpoints/      step_*/: what resume needs
  README.md         the model card
```
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from .. import __version__
from ..config import TrainingSettings, validate
from ..errors import InputError
from ..model import GenerativeModel
from ..registry import Config, build_from, model_class, recipe, slug
from ..spaces import Space
from .checkpoint import Checkpoints
from .files import damage, read_json, write_folder, write_json, write_text
from .state import read_tensors, write_tensors

FORMAT = 1  # of run folders and saved models; raised when an older pushforward could not read them


def save(model: GenerativeModel, folder: str | Path) -> Path:
    """Write what `sample` needs: `model.safetensors` and `model.json`, whole or not at all.

    Raises:
        InputError: the model was not built by `pf.build`, `pf.fit` or `pf.open_run`.
    """
    config: Config | None = getattr(model, "config", None)
    if config is None:
        raise InputError("this model has no recipe, so it could not be opened again.", "Build it with pf.build(...).")
    folder = Path(folder)

    def fill(into: Path) -> None:
        tensors = {k: v.clone() for k, v in model.state_dict().items()}
        write_tensors(into / "model.safetensors", tensors)
        description = {
            "format": FORMAT,
            "pushforward": __version__,
            "model": config.model,
            "settings": config.settings.model_dump(mode="json"),
            "space": model.space.to_json(),
            "condition_space": None if model.condition_space is None else model.condition_space.to_json(),
            "networks": sorted(getattr(model, "user_networks", ())),
            "tensors": {k: [str(v.dtype).removeprefix("torch."), list(v.shape)] for k, v in tensors.items()},
        }
        write_json(into / "model.json", description)

    folder.parent.mkdir(parents=True, exist_ok=True)
    write_folder(folder, fill)
    return folder


def load_model(folder: Path, networks: Mapping[str, nn.Module] | None = None) -> GenerativeModel:
    """The model that `save` wrote, on the CPU, in evaluation mode.

    Raises:
        InputError: missing, damaged, of another version, or in need of the user's own networks.
    """
    description = read_json(folder / "model.json")
    _check_format(description, folder / "model.json")
    # Before the hashes: a pickle in place of the weights deserves its own sentence.
    tensors = read_tensors(folder / "model.safetensors")
    if problem := damage(folder):
        raise InputError(f"{folder} is damaged: {problem}.", "Resume the run to write it again, or fit again.")
    found = {k: [str(v.dtype).removeprefix("torch."), list(v.shape)] for k, v in tensors.items()}
    if found != description["tensors"]:
        raise InputError(f"{folder}: the weights are not those that model.json describes.", "Fit again.")
    config = _config(description, TrainingSettings())
    space, condition_space = (
        Space.from_json(description["space"]),
        Space.from_json(description["condition_space"]),
    )
    model = _build(config, space, condition_space, description.get("networks", []), networks)
    _load_weights(model, tensors, folder)
    return model.eval()


class Run:
    """An opened run folder.

    Attributes: `folder`, `model`, `config`, `status` (finished, steps, seconds, verdict), `data_info`.
    """

    def __init__(self, folder: Path, networks: Mapping[str, nn.Module] | None = None):
        self.folder = folder
        if not (folder / "config.yaml").is_file():
            raise InputError(f"{folder} is not a run folder.", "`pushforward runs list` shows the runs.")
        document = read_yaml(folder / "config.yaml")
        _check_format(document, folder / "config.yaml")
        self.document = document
        training = validate(TrainingSettings, document["training"], f"{folder / 'config.yaml'}: training")
        self.config = _config(document, training)
        self.data_info: dict[str, Any] = read_json(folder / "data.json") if (folder / "data.json").is_file() else {}
        status = folder / "status.json"
        self.status: dict[str, Any] = read_json(status) if status.is_file() else {"state": "interrupted"}
        self._networks = networks
        self._model: GenerativeModel | None = None
        self.notes: list[str] = []

    @property
    def model(self) -> GenerativeModel:
        """The trained model; of an interrupted run, the averaged weights of its newest good checkpoint."""
        if self._model is None:
            if (self.folder / "model" / "model.json").is_file():
                if self.status.get("state") == "running":
                    self.notes.append(
                        "a fit is under way here, or was killed: this is the model of the last finished one"
                    )
                self._model = load_model(self.folder / "model", self._networks)
            elif (self.folder / "model.old" / "model.json").is_file():
                self._model = load_model(self.folder / "model.old", self._networks)
            else:
                self._model = self._from_checkpoint()
            measured = self.config.training.threads
            self._model.threads = measured if isinstance(measured, int) else None
        return self._model

    def _from_checkpoint(self) -> GenerativeModel:
        model = self.untrained()
        loaded = Checkpoints(self.folder / "checkpoints", log=self.notes.append).load()
        if loaded is None:
            raise InputError(f"{self.folder} holds no trained model yet.", "Resume it: pushforward fit --resume.")
        name, state = loaded
        weights = dict(state["model"])
        weights.update(state["average"])
        _load_weights(model, weights, self.folder / "checkpoints" / name)
        self.notes.append(f"the run is not finished: using checkpoint {name}")
        return model.eval()

    def untrained(self) -> GenerativeModel:
        """The run's model as built, before training."""
        space, condition = (
            Space.from_json(self.data_info["space"]),
            Space.from_json(self.data_info["condition_space"]),
        )
        return _build(self.config, space, condition, self.document.get("networks", []), self._networks)

    def load_data(self) -> Any:
        """The run's data, from the source that it names; a changed source is an error.

        Raises:
            InputError: the source is gone, was in memory, or its hash differs.
        """
        from ..data import load

        source = self.document["data"]["source"]
        if source == "<array>":
            raise InputError(
                f"the data of {self.folder} was given in memory.",
                "Resume in Python: pf.fit(..., resume=True, data=...).",
            )
        data = load(source, **self.document["data"]["options"])
        if self.data_info and data.hash != self.data_info["hash"]:
            raise InputError(
                f"{source} has changed since {self.folder} was begun (its hash differs).",
                "Restore it, or begin a new run.",
            )
        return data

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        import json

        path = self.folder / "metrics.jsonl"
        if not path.is_file():
            return []
        out = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                out.append(json.loads(line))
            except json.JSONDecodeError:  # the last line of a killed run
                break
        return out

    def summary(self) -> dict[str, Any]:
        """One row for `runs list`."""
        return {
            "run": str(self.folder),
            "model": self.config.model,
            "data": self.document["data"]["source"],
            "state": self.status.get("state", "interrupted"),
            "steps": self.status.get("steps"),
            "seconds": self.status.get("seconds"),
            "verdict": self.status.get("verdict"),
        }

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.config.model}, {self.status.get('state')})"


def open_run(path: str | Path, **networks: nn.Module) -> Run:
    """Open a run folder. Your own networks, if the run was fitted with some, are given by role: `critic=net`.

    Raises:
        InputError: not a run, damaged, or of another version; the sentence says which.
    """
    folder = Path(path)
    if not folder.exists() and len(folder.parts) == 1 and (Path("runs") / folder / "config.yaml").is_file():
        folder = Path("runs") / folder  # a bare name is one of the default folder's
    if not folder.exists():
        near = list_runs(folder.parent) or list_runs()
        from ..errors import did_you_mean

        raise InputError(f"there is no run {folder}.", did_you_mean(str(folder), [str(r) for r in near]))
    return Run(folder, networks)


def list_runs(root: str | Path = "runs") -> list[Path]:
    """Run folders directly under `root`, sorted by name."""
    root = Path(root)
    return sorted(p.parent for p in root.glob("*/config.yaml")) if root.is_dir() else []


def default_folder(data_name: str, model: str, root: str | Path = "runs") -> Path:
    """`runs/<data>-<model>`, with -2, -3, ... when that exists."""
    base = Path(root) / f"{slug(data_name)}-{slug(model)}"
    folder, k = base, 1
    while folder.exists():
        k += 1
        folder = base.with_name(f"{base.name}-{k}")
    return folder


def latest_run(data_name: str | None, model: str | None, root: str | Path = "runs") -> Path:
    """The most recently changed run that fits: what `fit --resume` without --out goes on with."""
    runs = list_runs(root)
    if data_name is not None:
        runs = [r for r in runs if r.name.startswith(slug(data_name) + "-")]
    if model is not None:
        runs = [r for r in runs if f"-{slug(model)}" in r.name]
    if not runs:
        raise InputError("there is no run to resume.", "Give its folder: --out runs/NAME.")
    return max(runs, key=lambda r: (r / "config.yaml").stat().st_mtime)


def remove_run(path: str | Path) -> None:
    """Delete a run folder; anything else is refused."""
    folder = Path(path)
    if not (folder / "config.yaml").is_file():
        raise InputError(f"{folder} is not a run folder: it was not removed.")
    from .files import Lock, explained

    Lock(folder).release()
    with explained(folder):
        shutil.rmtree(folder)


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged ({str(error).splitlines()[0]}).") from None
    if not isinstance(document, dict):
        raise InputError(f"{path} is damaged (it holds no settings).")
    return document


def write_yaml(path: Path, document: Any) -> None:
    write_text(path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def write_card(run: Run) -> None:
    """The run's README.md: what it is, what it was made of, how to use it."""
    from ..data.write import natural_suffix

    r, info, status = recipe(run.config.model), run.data_info, run.status
    seconds = status.get("seconds") or 0.0
    space, condition = Space.from_json(info["space"]), Space.from_json(info.get("condition_space"))
    lines = [
        f"# {r.title} on {info.get('name', 'data')}",
        "",
        r.summary,
        "",
        "| | |",
        "|---|---|",
        f"| model | `{run.config.model}` ({r.likelihood}) |",
        f"| data | `{info.get('source')}`: {space.describe()} |",
        f"| condition | {'none' if condition is None else condition.describe()} |",
        f"| data hash | `{str(info.get('hash'))[:16]}` |",
        f"| parameters | {status.get('parameters', 0):,} |",
        f"| steps | {status.get('steps', 0):,} in {seconds:.0f} s |",
        f"| seed, threads | {run.config.training.seed}, {run.config.training.threads} |",
        f"| verdict | {status.get('verdict')} |",
    ]
    if (held_out := status.get("held_out")) is not None and math.isfinite(held_out):
        lines.append(f"| held-out loss (the training objective) | {held_out:.5g} |")
    lines += [
        "",
        "```console",
        f"pushforward sample {run.folder} -n 64 --out samples{natural_suffix(space)}",
        *([] if r.likelihood == "implicit" else [f"pushforward log-prob {run.folder} NEW_DATA"]),
        f"pushforward evaluate {run.folder}",
        "```",
        "",
        "Sources: " + "; ".join(r.source),
        "",
        "Trained on the data named above and nothing else. The model reproduces what is in that data, including its "
        "biases and gaps; small data may be reproduced verbatim. Check samples before you rely on them.",
        "",
    ]
    write_text(run.folder / "README.md", "\n".join(lines))


def _check_format(document: Mapping[str, Any], path: Path) -> None:
    found = document.get("format")
    if found != FORMAT:
        raise InputError(
            f"{path} is of format {found!r}, written by pushforward {document.get('pushforward', 'unknown')}; "
            f"this is pushforward {__version__}, which reads format {FORMAT}.",
            "Install that version, or fit again.",
        )


def _config(document: Mapping[str, Any], training: TrainingSettings) -> Config:
    name = document["model"]
    recipe(name)
    return Config(name, validate(model_class(name).Settings, document["settings"], name), training)


def _build(
    config: Config,
    space: Space,
    condition_space: Space | None,
    needed: list[str],
    networks: Mapping[str, nn.Module] | None,
) -> GenerativeModel:
    missing = sorted(set(needed) - set(networks or {}))
    if missing:
        raise InputError(
            f"this run was fitted with your own network for {', '.join(missing)}.",
            f"Open it with pf.open_run(path, {missing[0]}=net).",
        )
    return build_from(config, space, condition_space, networks)


def _load_weights(model: GenerativeModel, tensors: Mapping[str, Any], where: Path) -> None:
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(f"{where}: the weights do not fit the model ({first[:200]}).", "Fit again.") from None
