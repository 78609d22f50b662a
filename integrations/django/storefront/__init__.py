"""A shop that shows a feature flag."""
