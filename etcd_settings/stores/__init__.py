"""Where entries are kept: etcd, this process's memory, a file. One small Protocol, one contract suite for all."""
