"""
Tell a server what to do through etcd's JSON gateway.

The kit prepares servers (users, roles, an empty prefix, a compaction) by another road than the client that is tested
with them, so that a mistake in the client cannot hide itself. It knows JSON over HTTP/1.1 and base64; it is slow,
retries nothing, and nobody should read settings with it.

Invariant: each call has a connection of its own, and leaves none behind.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any

from etcd_settings.errors import RequestError
from etcd_settings.keys import encode_key, range_end

__all__ = ["Gateway", "to_base64"]

TIMEOUT = 10.0
"""Seconds to wait for each answer: longer than etcd itself waits for a quorum (about 7)."""


class Gateway:
    """
    The few calls that the kit needs. Thread-safe, as nothing in it changes.

    Args:
        endpoint: ``host:port`` of a member.

        context: How to speak TLS; None for plain text.

        login: User and password; a token is fetched for every call.
    """

    def __init__(
        self, endpoint: str, *, context: ssl.SSLContext | None = None, login: tuple[str, str] | None = None
    ) -> None:
        self.endpoint = endpoint
        self._context, self._login = context, login

    def call(self, method: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """
        Call a method by its path, such as ``kv/range``, with a message in protobuf's JSON.

        Raises:
            RequestError: Etcd refused it.

            OSError: It could not be asked.
        """
        return self._post(method, body or {}, self._authenticate())

    def put(self, key: str | bytes, value: str | bytes) -> int:
        """Write one key, and give the revision."""
        answer = self.call("kv/put", {"key": to_base64(key), "value": to_base64(value)})
        return int(answer["header"]["revision"])

    def delete_prefix(self, prefix: str | bytes) -> int:
        """Delete every key that starts with *prefix*, and give their number."""
        end = range_end(encode_key(prefix))
        answer = self.call("kv/deleterange", {"key": to_base64(prefix), "range_end": to_base64(end)})
        return int(answer.get("deleted", 0))

    def revision(self) -> int:
        """Give the present revision, as a quorum knows it."""
        answer = self.call("kv/range", {"key": to_base64(b"\0"), "count_only": True})
        return int(answer["header"]["revision"])

    def _authenticate(self) -> str | None:
        if self._login is None:
            return None
        user, password = self._login
        return str(self._post("auth/authenticate", {"name": user, "password": password}, None)["token"])

    def _post(self, method: str, body: Mapping[str, Any], token: str | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} | ({"Authorization": token} if token else {})
        connection = self._connect()
        try:
            connection.request("POST", f"/v3/{method}", json.dumps(body), headers)
            response = connection.getresponse()
            answer = response.read().decode("utf-8", "replace")
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise RequestError(
                endpoint=self.endpoint, status=f"{response.status} {response.reason}", reason=_reason(answer)
            )
        return dict(json.loads(answer))

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self.endpoint, timeout=TIMEOUT)
        return http.client.HTTPSConnection(self.endpoint, timeout=TIMEOUT, context=self._context)


def to_base64(text: str | bytes) -> str:
    """Spell bytes as protobuf's JSON does."""
    return base64.b64encode(encode_key(text)).decode("ascii")


def _reason(answer: str) -> str:
    """Read what went wrong: a JSON object from etcd, plain text from the gateway itself."""
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, TypeError, KeyError):
        return answer.strip()
