"""The fixtures lend a server that is as good as new."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.etcd

SERVER = """
import pytest

@pytest.mark.parametrize("harm", ["stop", "kill", "pause", "close"])
def test_harm(etcd_server, harm):
    assert "" == etcd_server.etcdctl("get", "--prefix", "/config/app/")
    etcd_server.put("/config/app/a", harm)
    getattr(etcd_server, harm)()

def test_locked_up(etcd_server):
    assert "" == etcd_server.etcdctl("get", "--prefix", "/config/app/")
    etcd_server.call("auth/user/add", {"name": "root", "password": "unknown to the kit"})
    etcd_server.call("auth/user/grant", {"user": "root", "role": "root"})
    etcd_server.call("auth/enable")

def test_neighbours(etcd_server):
    etcd_server.put("/config/app2/a", "1")
    etcd_server.put("/config/app/a", "1")

def test_last(etcd_server):
    assert "/config/app2/a\\n\\n" == etcd_server.etcdctl("get", "--keys-only", "--prefix", "/config/")
"""

CLUSTER = """
def test_harm(etcd_cluster):
    etcd_cluster.put("/config/app/a", "1")
    etcd_cluster.members[0].kill()
    etcd_cluster.members[1].pause()

def test_next(etcd_cluster):
    assert "" == etcd_cluster.leader().etcdctl("get", "--prefix", "/config/app/")
    assert {"up"} == {member.state for member in etcd_cluster.members}

def test_same(etcd_server):
    assert etcd_server.health()
"""


def run(pytester: pytest.Pytester, tests: str) -> pytest.RunResult:
    pytester.makepyfile(tests)
    return pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-W", "error")


def test_each_test_finds_the_server_whole_and_its_prefix_empty(pytester: pytest.Pytester) -> None:
    """Whatever the test before did: stopped, killed, froze, closed or locked it. Other prefixes are not touched."""
    run(pytester, SERVER).assert_outcomes(passed=7)


def test_each_test_finds_the_cluster_whole_and_its_prefix_empty(pytester: pytest.Pytester) -> None:
    """Dead members are started, frozen ones go on, and both fixtures may be used in one session."""
    run(pytester, CLUSTER).assert_outcomes(passed=3)


def test_a_missing_etcd_is_an_error_that_says_what_to_do(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that asked for a server does not pass, and is not skipped, because there is none."""
    monkeypatch.setenv("ETCD_BIN", "/nowhere/etcd")

    result = run(pytester, "def test_it(etcd_server): ...")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*$ETCD_BIN names '/nowhere/etcd', which is not a program*"])


def test_unused_it_imports_next_to_nothing() -> None:
    """A project that has us installed pays for no h2, protobuf or pydantic in tests that need no etcd."""
    heavy = "h2", "google.protobuf", "pydantic", "asyncio", "http.client", "ssl", "etcd_settings.testing.server"
    code = f"import sys, etcd_settings.testing.plugin; print([name for name in {heavy!r} if name in sys.modules])"
    bare = "import sys, pytest; print([name for name in ('asyncio', 'http.client', 'ssl') if name in sys.modules])"

    loaded, ordinary = (
        subprocess.run([sys.executable, "-c", each], capture_output=True, text=True, check=True).stdout
        for each in (code, bare)
    )

    assert ordinary == loaded


def test_it_can_be_switched_off(pytester: pytest.Pytester) -> None:
    """With ``-p no:etcd-settings`` the fixtures are gone."""
    pytester.makepyfile("def test_it(etcd_server): ...")

    result = pytester.runpytest_subprocess("-q", "-p", "no:etcd-settings", "-p", "no:cacheprovider")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'etcd_server' not found*"])
