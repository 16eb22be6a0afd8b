"""Numbers that say how good samples are; each small, pure, and shown beside its floor."""
