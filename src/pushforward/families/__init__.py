"""The families: one folder each, one file a model. Each model file exposes its class as `MODEL`."""
