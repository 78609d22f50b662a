"""
Look for a state that etcd never had.

Writers change keys at random, faults strike servers and lines, and readers watch through all of it. Every state that a
reader was given must be etcd's own at the revision that it claims. The truth comes by etcd's JSON gateway, so that no
mistake of our client can hide itself.

    python -m tests.consistency --seconds 600 --seed 1 [--auth] [--cluster]
"""
