#!/bin/sh
# Put a configuration into etcd.
set -eu
export ETCDCTL_API=3
put() { etcdctl put "/config/greeter/$1" "$2" >/dev/null; }

put default/greeting Hello
put default/limits/names 3
put production/greeting 'Good day'
put production/TOKEN 'change me'
