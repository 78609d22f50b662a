"""A catalog that knows prices, and has them from etcd."""
