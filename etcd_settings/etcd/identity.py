"""
Know who we are to etcd: the token, and when to get another.

Etcd hands out a token for a user and a password; tokens expire (300 s by default), and a member that restarts forgets
the simple ones. Which answers mean "get a new token" was measured on 3.4 and 3.5.
"""

from __future__ import annotations

from collections.abc import Callable

from etcd_settings.connection import Connection
from etcd_settings.errors import AuthenticationError
from etcd_settings.etcd.grpc import Status, StatusReceived
from etcd_settings.etcd.messages import message

__all__ = ["Identity"]

_ABOUT_THE_TOKEN = (
    "invalid auth token",
    "user name is empty",  # no token came along, or the member lost it
    "revision of auth store is old",
)


class Identity:
    """
    The token of one user on one cluster.

    Thread-safe: two threads may both fetch a token, and both are good.

    Args:
        connection: Whose user and password to show.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._token: str | None = None
        self._is_off = False

    def metadata(self, authenticate: Callable[[str, bytes], bytes]) -> list[tuple[str, str]]:
        """
        Give the metadata that names us; fetches a token first if there is none.

        Args:
            authenticate: Makes the unary call that it is given: path and message in, answer out.

        Raises:
            AuthenticationError: Etcd refuses user or password.
        """
        if self._connection.user is None or self._is_off:
            return []
        token = self._token
        if token is None:
            token = self._token = self._fetch(self._connection.user, authenticate)
        return [("token", token)] if token else []

    def forget(self, refusal: StatusReceived) -> bool:
        """Drop the token if *refusal* was about it; True if it is worth trying again with another."""
        if not any(words in refusal.message for words in _ABOUT_THE_TOKEN):
            return False
        self.renew()
        return self._connection.user is not None

    def renew(self) -> None:
        """Drop the token, so that the next call fetches another."""
        self._token, self._is_off = None, False

    def _fetch(self, user: str, authenticate: Callable[[str, bytes], bytes]) -> str:
        request = message("AuthenticateRequest")(name=user, password=self._connection.read_password() or "")
        try:
            answer = authenticate("/etcdserverpb.Auth/Authenticate", request.SerializeToString())
        except StatusReceived as e:
            if e.status is Status.FAILED_PRECONDITION:  # authentication is switched off: anybody may read
                self._is_off = True
                return ""
            if e.status is not Status.INVALID_ARGUMENT:
                raise
            problem = AuthenticationError(endpoint=e.endpoint, user=user)
        else:
            token: str = message("AuthenticateResponse").FromString(answer).token
            return token
        raise problem
