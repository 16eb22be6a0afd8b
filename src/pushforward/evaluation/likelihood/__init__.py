"""Likelihoods side by side: what each is worth, and which differences may be claimed."""
