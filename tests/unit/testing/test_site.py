"""Out of a site come URLs, variables and command lines, and nothing is started for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from etcd_settings.testing.binaries import Binaries
from etcd_settings.testing.certificates import Certificates
from etcd_settings.testing.site import Ports, Site

FOLDER = Path("/run/a folder")
NEW, OLD = Binaries(Path("/opt/etcd"), (3, 5, 1)), Binaries(Path("/opt/etcd"), (3, 4, 23))
CERTIFICATES = Certificates(*(FOLDER / name for name in ("ca", "cert", "key", "ccert", "ckey", "ncert", "nkey")))
PORTS = Ports(client=1, peer=2, metrics=3)


@pytest.mark.parametrize(
    ("site", "url"),
    [
        (Site(NEW, FOLDER), "etcd://h:1,h:2/config/app/"),
        (Site(NEW, FOLDER, prefix="/ä b/"), "etcd://h:1,h:2/%C3%A4%20b/"),
        (Site(NEW, FOLDER, auth=True), "etcd://app:app-password@h:1,h:2/config/app/"),
        (Site(NEW, FOLDER, certificates=CERTIFICATES), "etcds://h:1,h:2/config/app/?ca=%2Frun%2Fa%20folder%2Fca"),
        (
            Site(NEW, FOLDER, certificates=CERTIFICATES, mutual=True, auth=True),
            (
                "etcds://app:app-password@h:1,h:2/config/app/"
                "?ca=%2Frun%2Fa%20folder%2Fca&cert=%2Frun%2Fa%20folder%2Fccert&key=%2Frun%2Fa%20folder%2Fckey"
            ),
        ),
    ],
)
def test_a_url_says_all_that_a_client_needs(site: Site, url: str) -> None:
    """Scheme, user, every endpoint, prefix and certificates, all of them escaped, and nothing else."""
    assert url == site.url(["h:1", "h:2"])


def test_etcdctl_finds_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the endpoints with their scheme, root's login and the certificates, and speaks v3 on 3.4 too."""
    site = Site(OLD, FOLDER, certificates=CERTIFICATES, mutual=True, auth=True)

    environ = site.environment(["h:1", "h:2"])

    assert {
        "ETCDCTL_API": "3",
        "ETCDCTL_CACERT": "/run/a folder/ca",
        "ETCDCTL_CERT": "/run/a folder/ccert",
        "ETCDCTL_ENDPOINTS": "https://h:1,https://h:2",
        "ETCDCTL_KEY": "/run/a folder/ckey",
        "ETCDCTL_USER": "root:root-password",
    } == {name: value for name, value in environ.items() if name.startswith("ETCDCTL")}


def test_what_the_tester_has_set_for_etcd_stays_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Etcd takes every flag from a variable too; only the one that lets it run on this machine passes."""
    monkeypatch.setenv("ETCD_LISTEN_CLIENT_URLS", "http://0.0.0.0:2379")
    monkeypatch.setenv("ETCDCTL_USER", "somebody:secret")
    monkeypatch.setenv("ETCD_UNSUPPORTED_ARCH", "arm64")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")

    environ = Site(NEW, FOLDER).environment()

    assert {"ETCDCTL_API": "3", "ETCD_UNSUPPORTED_ARCH": "arm64"} == {
        name: value for name, value in environ.items() if name.startswith("ETCD")
    }
    assert "/opt/lib" == environ["LD_LIBRARY_PATH"]


@pytest.mark.parametrize(
    ("binaries", "data", "expected"),
    [
        (NEW, FOLDER / "etcd", True),
        (NEW, Path("/home/me/data"), False),
        (OLD, FOLDER / "etcd", False),
    ],
)
def test_only_data_that_dies_with_us_is_written_carelessly(binaries: Binaries, data: Path, expected: bool) -> None:
    """Fsync is off for throw-away data where etcd knows the flag (3.5), and on for data that is to be kept."""
    command = Site(binaries, FOLDER).command("etcd", data, PORTS)

    assert expected == ("--unsafe-no-fsync" in command)


def test_flags_of_the_tester_come_last() -> None:
    """Of two equal flags etcd takes the last, so ours can be overridden."""
    command = Site(NEW, FOLDER, args=("--bcrypt-cost", "10")).command("etcd", FOLDER / "etcd", PORTS)

    assert ["--bcrypt-cost", "10"] == command[-2:]


def test_everything_listens_on_the_loopback_only() -> None:
    """No address in the command line is another machine's to reach."""
    site = Site(NEW, FOLDER, certificates=CERTIFICATES)
    command = site.command("a", FOLDER / "a", PORTS, peers={"a": "http://127.0.0.1:9", "b": "http://127.0.0.1:10"})

    urls = [url.split("=")[-1] for argument in command if "://" in argument for url in argument.split(",")]

    assert 7 == len(urls)
    assert {"127.0.0.1"} == {url.split("/")[2].rpartition(":")[0] for url in urls}
