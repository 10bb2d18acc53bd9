"""Judges that need an engine, or answers that were given: a reward model, likelihoods, and people's votes."""
