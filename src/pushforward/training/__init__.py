"""The engine and everything around a fit: stages, checkpoints, run folders, progress."""

from .engine import Engine
from .fitting import Fit, fit, run_fit
from .plan import Plan, choose_model, dry_run
from .records import Interrupted, Record
from .run import Run, default_folder, latest_run, list_runs, load_model, open_run, remove_run, save
from .verdict import Verdict, judge

__all__ = [
    "Engine",
    "Fit",
    "Interrupted",
    "Plan",
    "Record",
    "Run",
    "Verdict",
    "choose_model",
    "default_folder",
    "dry_run",
    "fit",
    "judge",
    "latest_run",
    "list_runs",
    "load_model",
    "open_run",
    "remove_run",
    "run_fit",
    "save",
]
