"""
Make certificates that nobody else trusts.

One authority for each server or cluster, one certificate for the server (its names are the loopback's), one for its
clients. Everything is written into a folder that is removed with the server.

Invariant: the authority's own key is never written down.
"""

from __future__ import annotations

import importlib.util
import ssl
from dataclasses import dataclass
from pathlib import Path

from etcd_settings.errors import ConfigurationError

__all__ = ["Certificates", "issue_certificates"]

SERVER_NAMES = ("localhost", "127.0.0.1", "::1")
_FILES = ("ca", "server", "server-key", "client", "client-key", "nameless", "nameless-key")


@dataclass(frozen=True, slots=True)
class Certificates:
    """
    The files, all in PEM.

    Args:
        ca: The authority that signed all of them.

        cert: The server's certificate.

        key: The server's private key.

        client_cert: A client's certificate.

        client_key: That client's private key.

        nameless_cert: Another client's certificate, without a common name: etcd's JSON gateway accepts no other.

        nameless_key: Its private key.
    """

    ca: Path
    cert: Path
    key: Path
    client_cert: Path
    client_key: Path
    nameless_cert: Path
    nameless_key: Path

    def gateway_context(self) -> ssl.SSLContext:
        """Make a context for the JSON gateway: it trusts this authority only, and shows a certificate to who asks."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.nameless_cert, self.nameless_key)
        return context


def issue_certificates(folder: Path, *, common_name: str, server_names: tuple[str, ...] = SERVER_NAMES) -> Certificates:
    """
    Make a new authority and its certificates.

    Args:
        folder: Where the files go; it must exist.

        common_name: Whom the client's certificate stands for. With client certificates and authentication on, etcd
            takes it for the user's name.

        server_names: The names and addresses that the server's certificate is good for.

    Raises:
        ConfigurationError: The package trustme is missing.
    """
    if importlib.util.find_spec("trustme") is None:
        raise ConfigurationError("Servers with TLS need the package trustme: pip install 'etcd-settings[testing]'")
    import trustme

    authority = trustme.CA()
    files = Certificates(*(folder / f"{name}.pem" for name in _FILES))
    authority.cert_pem.write_to_path(files.ca)
    client = f"{common_name}@localhost"
    for issued, cert, key in (
        (authority.issue_cert(*server_names), files.cert, files.key),
        (authority.issue_cert(client, common_name=common_name), files.client_cert, files.client_key),
        (authority.issue_cert(client), files.nameless_cert, files.nameless_key),
    ):
        issued.cert_chain_pems[0].write_to_path(cert)
        key.touch(mode=0o600)
        issued.private_key_pem.write_to_path(key)
    return files
