"""The engine and everything around a fit: stages, checkpoints, run folders, progress."""

from .engine import Engine, Interrupted, Record
from .fit import Fit, Plan, dry_run, fit, run_fit
from .run import Run, list_runs, load_model, open_run, remove_run, save
from .verdict import Verdict, judge

__all__ = [
    "Engine",
    "Fit",
    "Interrupted",
    "Plan",
    "Record",
    "Run",
    "Verdict",
    "dry_run",
    "fit",
    "judge",
    "list_runs",
    "load_model",
    "open_run",
    "remove_run",
    "run_fit",
    "save",
]
