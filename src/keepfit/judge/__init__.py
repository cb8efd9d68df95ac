"""Is it better: metrics, slices, evaluate, gates."""
