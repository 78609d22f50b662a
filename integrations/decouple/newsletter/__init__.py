"""A newsletter that has nothing but settings."""
