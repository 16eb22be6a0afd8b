"""Networks with no generative logic, asked for by role: encoder, decoder, critic, field."""

from .embeddings import ConditionEmbedding, TimeEmbedding
from .mlp import MLP
from .roles import critic, decoder, encoder, field

__all__ = ["MLP", "ConditionEmbedding", "TimeEmbedding", "critic", "decoder", "encoder", "field"]
