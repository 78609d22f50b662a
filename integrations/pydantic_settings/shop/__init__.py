"""A shop that has nothing but settings."""
