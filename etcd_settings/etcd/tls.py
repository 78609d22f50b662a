"""
Build the TLS context of a connection.

A context is built for each new connection, in the process and at the time that it is needed: so certificates that were
rotated on disk count from the next connection on, and nothing is inherited across a fork.
"""

from __future__ import annotations

import ssl

from etcd_settings.connection import TLS
from etcd_settings.errors import ConfigurationError

__all__ = ["make_context"]


def make_context(tls: TLS) -> ssl.SSLContext:
    """
    Make a client context: TLS 1.2 or newer, HTTP/2 by ALPN, certificate and host name verified.

    Raises:
        ConfigurationError: A file is missing or holds no usable certificate or key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["h2"])
    try:
        if tls.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(tls.ca)
    except OSError as e:
        problem = _problem("ca", tls.ca, e)
    else:
        try:
            if tls.cert is not None:
                context.load_cert_chain(tls.cert, tls.key, password=_no_password)
        except OSError as e:
            problem = _problem("cert and key", tls.cert, e)
        else:
            return context
    raise problem


def _problem(option: str, path: object, error: OSError) -> ConfigurationError:
    reason = (
        (error.strerror or "")
        if not isinstance(error, ssl.SSLError)
        else (error.reason or "").replace("_", " ").lower()
    )
    return ConfigurationError(
        f"The TLS option {option} ({path}) cannot be used: {reason or 'it holds no PEM certificate or key'}. "
        f"It must name a readable PEM file, and a certificate must come with its own key."
    )


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal, and a service would hang at start.
    raise OSError(None, "the key is encrypted with a passphrase, which is not supported")
