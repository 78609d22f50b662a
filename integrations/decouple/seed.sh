#!/bin/sh
# Put a configuration into etcd: what all environments share, and what production has of its own.
set -eu
export ETCDCTL_API=3
put() { etcdctl put "/config/newsletter/$1" "$2" >/dev/null; }

put common/debug off
put common/sender news@example.com
put common/smtp.json '{"host": "smtp.internal", "port": 25, "timeout": 2.5}'
put common/smtp/password 'change me'
put production/recipients 'ann@example.com, bob@example.com'
put production/smtp/host smtp.example.com
