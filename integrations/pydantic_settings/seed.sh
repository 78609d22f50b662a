#!/bin/sh
# Put a configuration into etcd: what all environments share, and what production has of its own.
set -eu
export ETCDCTL_API=3
put() { etcdctl put "/config/shop/$1" "$2" >/dev/null; }

put common/debug false
put common/database.json '{"host": "db.internal", "port": 5432, "pool-size": 5}'
put common/database/password 'change me'
put common/greetings/en 'Welcome'
put common/greetings/De 'Willkommen'
put production/database/pool-size 20
put production/allowed-hosts/0 shop.example.com
put production/allowed-hosts/1 www.shop.example.com
