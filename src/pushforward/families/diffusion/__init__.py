"""See the model files in this folder."""
