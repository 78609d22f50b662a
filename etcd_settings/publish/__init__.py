"""
Bring etcd from what it holds to what a tree says: plan, look, apply.

`plan` compares trees and says which keys would have to change. `apply` carries that out as one transaction, if nobody
else wrote meanwhile. A tree that was read from etcd plans no change, whatever documents it came from. `plan_entries`
takes keys and values byte for byte in place of a tree. `split` is for plans that are too large for one transaction.
"""

from etcd_settings.publish.applying import apply
from etcd_settings.publish.guard import sees_deletions
from etcd_settings.publish.planning import Edit, Plan, plan, plan_entries
from etcd_settings.publish.splitting import split

__all__ = ["Edit", "Plan", "apply", "plan", "plan_entries", "sees_deletions", "split"]
