"""Studies: fixed data, models, seeds and targets, run by `pushforward reproduce NAME`."""
