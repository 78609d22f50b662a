"""
Hold what all members of one deployment share.

A site knows which etcd runs, where its files lie, whom it trusts, and who may log in; out of that come URLs, the
variables of etcdctl, and the server's own command line. It starts nothing and, but for `secure`, calls nobody.

Invariant: a site never changes, so members may be stopped and started again and still belong together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from etcd_settings.errors import RequestError
from etcd_settings.keys import encode_key, range_end
from etcd_settings.testing.binaries import Binaries
from etcd_settings.testing.certificates import Certificates
from etcd_settings.testing.gateway import Gateway, to_base64
from etcd_settings.testing.ports import HOST

__all__ = ["APP", "PREFIX", "ROOT", "Ports", "Site"]

PREFIX = "/config/app/"
"""Where the settings of the application under test lie."""

ROOT = ("root", "root-password")
APP = ("app", "app-password")
"""User and password; the same in every server, so that a data folder can be opened again by a later one."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one member listens, all on the loopback: for clients, for other members, for health and metrics."""

    client: int
    peer: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Site:
    """
    What members have in common.

    Args:
        binaries: Which etcd.

        folder: Where logs, certificates and, by default, data are kept.

        prefix: The application's prefix. With *auth*, all that user `APP` may read and write.

        certificates: Speak TLS with these; None for plain text.

        mutual: Ask clients for a certificate too.

        auth: Whether users and roles are switched on.

        args: More flags for etcd, after ours, so that they win.
    """

    binaries: Binaries
    folder: Path
    prefix: str = PREFIX
    certificates: Certificates | None = None
    mutual: bool = False
    auth: bool = False
    args: tuple[str, ...] = ()

    @property
    def scheme(self) -> str:
        return "http" if self.certificates is None else "https"

    def url(self, endpoints: Sequence[str], login: tuple[str, str] = APP) -> str:
        """Make the URL that `etcd_settings.Source` takes: credentials, prefix and certificate options included."""
        user = ":".join(quote(part, safe="") for part in login) + "@" if self.auth else ""
        options = self._certificate_options()
        query = f"?{urlencode(options, quote_via=quote)}" if options else ""
        scheme = "etcd" if self.certificates is None else "etcds"
        return f"{scheme}://{user}{','.join(endpoints)}{quote(self.prefix)}{query}"

    def gateway(self, endpoint: str, login: tuple[str, str] | None = ROOT) -> Gateway:
        """Give a way to call that member as somebody; who is ignored without *auth*."""
        context = None if self.certificates is None else self.certificates.gateway_context()
        return Gateway(endpoint, context=context, login=login if self.auth else None)

    def secure(self, endpoint: str) -> None:
        """Make the users and the role, and switch authentication on; nothing happens if that was done before."""
        gateway = self.gateway(endpoint, login=None)
        try:
            gateway.call("auth/user/add", {"name": ROOT[0], "password": ROOT[1]})
        except RequestError:
            self.gateway(endpoint).call("auth/user/list")  # data from an earlier run; else this tells what is wrong
            return
        gateway.call("auth/role/add", {"name": "root"})
        gateway.call("auth/user/grant", {"user": ROOT[0], "role": "root"})
        gateway.call("auth/user/add", {"name": APP[0], "password": APP[1]})
        gateway.call("auth/role/add", {"name": APP[0]})
        key = encode_key(self.prefix)
        permission = {"permType": "READWRITE", "key": to_base64(key), "range_end": to_base64(range_end(key))}
        gateway.call("auth/role/grant", {"name": APP[0], "perm": permission})
        gateway.call("auth/user/grant", {"user": APP[0], "role": APP[0]})
        gateway.call("auth/enable")

    def environment(self, endpoints: Sequence[str] = ()) -> dict[str, str]:
        """
        Make an environment for etcd's programs in which nothing of ours speaks to them by accident.

        Args:
            endpoints: Whom etcdctl shall talk to, as root.
        """
        environ = without_etcd(os.environ) | {"ETCDCTL_API": "3"}
        if endpoints:
            environ["ETCDCTL_ENDPOINTS"] = ",".join(f"{self.scheme}://{endpoint}" for endpoint in endpoints)
        if self.auth:
            environ["ETCDCTL_USER"] = ":".join(ROOT)
        return environ | {f"ETCDCTL_{_ETCDCTL_NAMES[k]}": v for k, v in self._certificate_options().items()}

    def command(self, name: str, data: Path, ports: Ports, *, peers: Mapping[str, str] | None = None) -> list[str]:
        """
        Make the command line of one member.

        Args:
            name: The member's name.

            data: Its data folder.

            ports: Where it listens.

            peers: Name → advertised peer URL of every member; None if it is alone.
        """
        client = f"{self.scheme}://{HOST}:{ports.client}"
        return [
            str(self.binaries.etcd),
            *self.identity(name, data, ports, peers=peers),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", f"http://{HOST}:{ports.peer}"),
            # Plain text whatever the clients speak: health and figures need no certificate.
            *("--listen-metrics-urls", f"http://{HOST}:{ports.metrics}"),
            *("--logger", "zap", "--log-outputs", "stderr", "--bcrypt-cost", "4"),
            # A lonely member hears nobody, so waiting long before it elects itself is of no use.
            *(("--heartbeat-interval", "100", "--election-timeout", "1000") if peers else _ALONE),
            *(("--unsafe-no-fsync",) if self.binaries.version >= (3, 5) and self.folder in data.parents else ()),
            *self._certificate_flags(),
            *self.args,
        ]

    def identity(self, name: str, data: Path, ports: Ports, *, peers: Mapping[str, str] | None = None) -> list[str]:
        """Make those flags of `command` that say who a member is: a restored backup must be told, too."""
        everybody = peers or {name: f"http://{HOST}:{ports.peer}"}
        return [
            *("--name", name, "--data-dir", str(data)),
            *("--initial-advertise-peer-urls", everybody[name]),
            *("--initial-cluster", ",".join(f"{member}={url}" for member, url in everybody.items())),
        ]

    def _certificate_options(self) -> dict[str, str]:
        if self.certificates is None:
            return {}
        files = {"ca": str(self.certificates.ca)}
        if self.mutual:
            files |= {"cert": str(self.certificates.client_cert), "key": str(self.certificates.client_key)}
        return files

    def _certificate_flags(self) -> list[str]:
        if self.certificates is None:
            return []
        flags = ["--cert-file", str(self.certificates.cert), "--key-file", str(self.certificates.key)]
        return [*flags, "--client-cert-auth", "--trusted-ca-file", str(self.certificates.ca)] if self.mutual else flags


_ALONE = ("--heartbeat-interval", "10", "--election-timeout", "100")
_ETCDCTL_NAMES = {"ca": "CACERT", "cert": "CERT", "key": "KEY"}


def without_etcd(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out every variable that etcd or etcdctl would take for a flag; what lets it run on this machine stays."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(("ETCD_", "ETCDCTL_")) or name == "ETCD_UNSUPPORTED_ARCH"
    }
