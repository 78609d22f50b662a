"""A service that greets, in the words that etcd holds."""
