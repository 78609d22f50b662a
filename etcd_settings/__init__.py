"""One bulk read from etcd becomes typed, cached, live settings."""

__version__ = "0.1.0"
