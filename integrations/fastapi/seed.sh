#!/bin/sh
# Put a configuration into etcd.
set -eu
export ETCDCTL_API=3
put() { etcdctl put "/config/catalog/$1" "$2" >/dev/null; }

put currency EUR
put prices/tea 3.20
put prices/Coffee 3.80
put api-token 'change me'
