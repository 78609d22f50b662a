#!/bin/sh
# Put a configuration into etcd.
set -eu
export ETCDCTL_API=3
put() { etcdctl put "/config/storefront/$1" "$2" >/dev/null; }

put SECRET_KEY 'change me'
put PAGE_SIZE 50
put FEATURE_CHECKOUT false
put FEATURE_BANNER/text 'Hello'
