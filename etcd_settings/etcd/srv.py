"""
Ask DNS where the members are (``etcd+srv://``).

Etcd's clients look for the services ``_etcd-client-ssl._tcp`` and ``_etcd-client._tcp`` of a domain (etcd's clustering
guide, "DNS discovery"). The asking is dnspython's; this module names what is asked for and reads the answer.
"""

from __future__ import annotations

import random

from etcd_settings.errors import ConfigurationError, UnavailableError

__all__ = ["find_endpoints"]


def find_endpoints(domain: str, *, tls: bool, timeout: float) -> tuple[str, ...]:
    """
    Give the endpoints that *domain*'s SRV records name: lower priorities first, among equals the heavier ones likelier.

    Args:
        domain: The domain, without the service.

        tls: Whether to ask for the service that speaks TLS.

        timeout: Seconds.

    Raises:
        UnavailableError: DNS has no such records, or did not answer.
        ConfigurationError: The extra ``srv`` is not installed.
    """
    try:
        import dns.exception
        import dns.resolver
    except ModuleNotFoundError:
        problem: ConfigurationError | UnavailableError = ConfigurationError(
            "etcd+srv:// asks DNS, and that takes dnspython. Install it with `pip install 'etcd-settings[srv]'`."
        )
    else:
        name = f"_etcd-client{'-ssl' if tls else ''}._tcp.{domain}"
        try:
            records = list(dns.resolver.resolve(name, "SRV", lifetime=timeout))
        except dns.exception.DNSException as e:
            reason = "no such SRV records" if isinstance(e, (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)) else str(e)
            problem = UnavailableError({name: reason}, action="asking DNS for endpoints")
        else:
            records.sort(key=lambda record: (record.priority, _luck(record.weight)))
            return tuple(f"{str(record.target).rstrip('.')}:{record.port}" for record in records)
    raise problem


def _luck(weight: int) -> float:
    """Draw a number that is the smaller, the heavier the record (Efraimidis and Spirakis' weighted shuffle)."""
    return -float(random.random() ** (1 / max(weight, 0.1)))  # noqa: S311  # spreads load, no cryptography
