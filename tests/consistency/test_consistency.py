"""A short run of the checker; `python -m tests.consistency` makes longer ones."""

from __future__ import annotations

import pytest

from tests.consistency.trial import run

pytestmark = pytest.mark.etcd


@pytest.mark.parametrize(("auth", "cluster"), [(False, False), (True, False), (True, True)])
def test_no_reader_sees_what_etcd_never_had(auth: bool, cluster: bool) -> None:
    """Whatever strikes, each state is etcd's own at the revision that it claims, and the last one is etcd's last."""
    outcome = run(seed=1, seconds=12, auth=auth, cluster=cluster)

    assert outcome.faults
    assert outcome.states > 50
    assert outcome.refused
