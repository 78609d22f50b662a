"""
Say what went wrong, where, and what to do about it.

One root, and below it one family for each kind of person who must act: whoever wrote the URL, runs the cluster, owns
the certificates, granted the role, or pushed the value.

Every error keeps its facts as attributes, pickles, and never holds a value, a password or a token: only keys, places,
types and reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "AuthenticationError",
    "ClosedError",
    "CompactedError",
    "ConcurrentWriteError",
    "ConfigurationError",
    "ConflictError",
    "DecodeError",
    "EtcdSettingsError",
    "InvalidSettingsError",
    "LeaseLostError",
    "MessageTooLargeError",
    "NotStartedError",
    "PermissionDeniedError",
    "RejectedUpdateError",
    "RequestError",
    "RestoredError",
    "TLSError",
    "TooManyChangesError",
    "UnavailableError",
    "combine",
]


class EtcdSettingsError(Exception):
    """
    The root of everything that this library raises on purpose.

    Attributes:
        problems: The single errors that this one stands for, in a stable order. An error that stands for itself alone
            has itself as its only problem.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self._problems: tuple[EtcdSettingsError, ...] = ()

    @property
    def problems(self) -> tuple[EtcdSettingsError, ...]:
        return self._problems or (self,)

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only constructors do not pickle by themselves; the facts are all in args and __dict__.
        return _restore, (type(self), self.args, self.__dict__)


class ConfigurationError(EtcdSettingsError):
    """
    A URL, an option, an argument, an environment variable or a name in a file cannot be used as it is.

    Attributes:
        subject: Which one, as its author spelled it; None where the message alone tells.
    """

    def __init__(self, message: str, *, subject: str | None = None) -> None:
        self.subject = subject
        super().__init__(message)


class UnavailableError(EtcdSettingsError):
    """
    No endpoint answered in time.

    Attributes:
        attempts: Every endpoint that was asked, with the reason why it did not serve.
        maybe_done: Whether a write may have been carried out all the same: it was sent, and no answer came.
    """

    def __init__(
        self, attempts: Mapping[str, str], *, action: str = "reading from etcd", maybe_done: bool = False
    ) -> None:
        self.attempts, self.maybe_done = dict(attempts), maybe_done
        reasons = "; ".join(f"{endpoint}: {reason}" for endpoint, reason in self.attempts.items())
        mend = (
            "It may have been carried out all the same: read before you repeat it."
            if maybe_done
            else "Check that etcd runs there and that the address and port are right."
        )
        super().__init__(f"No etcd endpoint answered while {action} ({reasons or 'none was tried'}). {mend}")


class AuthenticationError(EtcdSettingsError):
    """
    Etcd knows no such user with this password, or wants one and got none.

    Attributes:
        endpoint: Who said so.
        user: Whose credentials were refused; None if none were given.
    """

    def __init__(self, *, endpoint: str, user: str | None = None) -> None:
        self.endpoint, self.user = endpoint, user
        if user is None:
            super().__init__(
                f"{endpoint} asks for a user and a password, and none were given. "
                f"Put them into the URL (etcd://user:password@…) or the password into $ETCD_SETTINGS_PASSWORD."
            )
        else:
            super().__init__(
                f"{endpoint} refused the password of user {user!r}, or knows no such user. "
                f"Check both with `etcdctl user get {_for_shell(user)}`, or $ETCD_SETTINGS_PASSWORD if no URL has it."
            )


class PermissionDeniedError(EtcdSettingsError):
    """
    The user may not do this to these keys.

    Attributes:
        endpoint: Who said so.
        user: Who asked; None without credentials.
        prefix: The keys that were asked for: a prefix if *is_prefix*, else one key.
        access: ``"read"``, ``"write"`` or ``"readwrite"``.
    """

    def __init__(
        self, *, endpoint: str, user: str | None, prefix: str, access: str = "read", is_prefix: bool = True
    ) -> None:
        self.endpoint, self.user, self.prefix, self.access, self.is_prefix = endpoint, user, prefix, access, is_prefix
        flag = "--prefix=true " if is_prefix else ""
        who = "anybody without a user" if user is None else f"user {user!r}"
        command = f"etcdctl role grant-permission {flag}ROLE {access} {_for_shell(prefix)}"
        super().__init__(
            f"{endpoint} does not let {who} {access} {prefix!r}. Mend it with `{command}` for a role of theirs."
        )


class TLSError(EtcdSettingsError):
    """
    No trusted connection came about.

    Attributes:
        endpoint: With whom.
        reason: What the handshake said, in words.
    """

    def __init__(self, *, endpoint: str, reason: str) -> None:
        self.endpoint, self.reason = endpoint, reason
        super().__init__(
            f"TLS with {endpoint} failed: {reason}. "
            f"Check the options ca, cert, key and server_name, and whether the server speaks TLS at all (etcds://)."
        )


class DecodeError(EtcdSettingsError):
    """
    A value is there, but it is not what its key promises.

    Attributes:
        key: The key, as in etcd.
        expected: What the value should have been: ``"UTF-8 text"``, ``"JSON"``, ``"TOML"``, ``"YAML"``, …
        position: Where reading it failed, as ``"byte 3"`` or ``"line 2, column 5"``; None if unknown.
    """

    def __init__(self, key: str, expected: str, position: str | None = None) -> None:
        self.key, self.expected, self.position = key, expected, position
        place = f" ({position})" if position else ""
        super().__init__(
            f"The value at {key!r} is not valid {expected}{place}. "
            f"Mend the value, or rename the key if it promises too much."
        )


class ConflictError(EtcdSettingsError):
    """
    Keys contradict each other: they cannot all be true in one tree of settings.

    Attributes:
        keys: The keys, as in etcd.
        reason: How they contradict.
        mend: What to do.
    """

    def __init__(self, keys: Iterable[str], reason: str, *, mend: str = "Delete or rename one of them.") -> None:
        self.keys, self.reason, self.mend = tuple(keys), reason, mend
        super().__init__(f"{' and '.join(repr(key) for key in self.keys)}: {reason}. {mend}")


class InvalidSettingsError(EtcdSettingsError):
    """
    The settings do not have the types that the program declares.

    Attributes:
        target: The name of the type that was asked for.
        errors: One mapping a problem, with ``loc`` (a tuple), ``type`` and ``msg`` as pydantic spells them, and
            ``keys``, the etcd keys that the value came from (empty for one that is missing). Inputs are left out.
    """

    def __init__(self, target: str, errors: Sequence[Mapping[str, Any]]) -> None:
        self.target, self.errors = target, tuple(dict(error) for error in errors)
        lines = [f"{len(self.errors)} invalid setting{'s' if len(self.errors) != 1 else ''} for {target}:"]
        lines += [_error_line(error) for error in self.errors]
        super().__init__("\n".join(lines))


class RejectedUpdateError(EtcdSettingsError):
    """
    A new state of the settings was refused; the last good one stays in use.

    Attributes:
        revision: The revision that was refused.
        reason: Why, in words that quote no value.
    """

    def __init__(self, revision: int, reason: str) -> None:
        self.revision, self.reason = revision, reason
        super().__init__(
            f"The settings of revision {revision} are refused: {reason}. The last good ones stay in use. "
            f"Mend the keys in etcd: the next good revision is taken by itself."
        )


class CompactedError(EtcdSettingsError):
    """
    Etcd has thrown away the history that was asked for.

    Attributes:
        revision: The oldest revision that can still be read; None if etcd did not tell.
    """

    def __init__(self, revision: int | None = None) -> None:
        self.revision = revision
        bound = "" if revision is None else f" up to revision {revision}"
        super().__init__(
            f"The history{bound} has been compacted away. Read the present state anew and go on from there."
        )


class RestoredError(CompactedError):
    """
    The cluster was restored from a backup, or is another one: what was known of its history does not hold any more.

    Attributes:
        revision: The revision that the cluster is at now; None if it is another cluster.
    """

    def __init__(self, revision: int | None = None) -> None:
        super().__init__(revision)
        state = "Another cluster answers now" if revision is None else f"The cluster is back at revision {revision}"
        self.args = (f"{state}: it was restored from a backup. Read the present state anew and go on from there.",)


class MessageTooLargeError(EtcdSettingsError):
    """
    A request or an answer is larger than one side accepts.

    Attributes:
        what: ``"request"`` or ``"answer"``.
        size: Its size in bytes if known, else None.
        limit: The most that is accepted, in bytes, if known.
    """

    def __init__(self, what: str, *, size: int | None = None, limit: int | None = None) -> None:
        self.what, self.size, self.limit = what, size, limit
        facts = [
            f"{size} bytes" if size is not None else "",
            f"at most {limit} are accepted" if limit is not None else "",
        ]
        mend = (
            "Write less in one request, or raise etcd's --max-request-bytes."
            if what == "request"
            else "Read a smaller prefix, or raise Connection(max_message=…)."
        )
        super().__init__(
            f"The {what} is too large ({', '.join(fact for fact in facts if fact) or 'size unknown'}). {mend}"
        )


class ConcurrentWriteError(EtcdSettingsError):
    """
    Somebody else wrote since the plan was made; nothing of it was carried out.

    Attributes:
        keys: The keys that were written, created or deleted meanwhile.
        revision: The revision at which that was seen.
    """

    def __init__(self, keys: Iterable[str], revision: int) -> None:
        self.keys, self.revision = tuple(keys), revision
        super().__init__(
            f"Somebody else wrote {_few(self.keys) or 'here'} (seen at revision {revision}), so this was not written. "
            f"Read again, look at the differences, and repeat it."
        )


class TooManyChangesError(EtcdSettingsError):
    """
    More keys would be written or deleted than one transaction can carry; nothing was carried out.

    Attributes:
        count: How many.
        limit: How many there may be.
    """

    def __init__(self, count: int, limit: int) -> None:
        self.count, self.limit = count, limit
        super().__init__(
            f"{count} keys would change, and one transaction carries {limit}, so nothing was written. "
            f"Write it in parts (push --batch, publish.split), or hold a branch as one document, such as database.json."
        )


class LeaseLostError(EtcdSettingsError):
    """
    There is no such lease (any more), and its keys are deleted.

    Attributes:
        lease: Its id; None if a transaction used several.
    """

    def __init__(self, lease: int | None = None) -> None:
        self.lease = lease
        which = "such lease" if lease is None else f"lease {lease:x}"
        super().__init__(
            f"Etcd knows no {which} (any more): it was not kept alive for its ttl, or was revoked, and its keys are "
            f"deleted. Take a new one, and write them again."
        )


class RequestError(EtcdSettingsError):
    """
    Etcd answered, and refused this very request for a reason that fits none of the other errors.

    Attributes:
        endpoint: Who said so.
        status: The gRPC status, such as ``"INVALID_ARGUMENT"``.
        reason: Etcd's own words.
    """

    def __init__(self, *, endpoint: str, status: str, reason: str) -> None:
        self.endpoint, self.status, self.reason = endpoint, status, reason
        super().__init__(f"{endpoint} refused the request with {status}: {reason}")


class ClosedError(EtcdSettingsError):
    """
    It was closed, and is of no use any more.

    Attributes:
        what: What was closed, such as ``"Source"``.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"This {what} is closed. Make a new one, or close it later.")


class NotStartedError(EtcdSettingsError):
    """
    It has no settings yet.

    Attributes:
        what: What was not started, such as ``"Live"``.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"This {what} has not been started. Call start() first, or enter it with `with`.")


def combine(errors: Sequence[EtcdSettingsError]) -> EtcdSettingsError:
    """
    Make one error of several.

    One stays what it is. Several of one class become one of that class, so that catching it by its name works; a
    mixture becomes a plain `EtcdSettingsError`. The facts of the first stand for all, and ``problems`` lists every one.

    Raises:
        ValueError: There are none.
    """
    problems = tuple(problem for error in errors for problem in error.problems)
    if not problems:
        raise ValueError("no errors to combine")
    first, *others = problems
    if not others:
        return first
    message = "\n".join([f"{len(problems)} problems:", *(f"- {problem}" for problem in problems)])
    alike = all(type(problem) is type(first) for problem in others)
    facts = first.__dict__ if alike else {}
    return _restore(type(first) if alike else EtcdSettingsError, (message,), {**facts, "_problems": problems})


def _error_line(error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"]) or "all of it"
    keys = _few(error.get("keys", ()))  # what is wrong with a whole branch came from all its keys
    origin = f" (from {keys})" if keys else ""
    return f"- {place}: {error['msg']}{origin}"


def _few(names: Iterable[str]) -> str:
    keys = [repr(key) for key in names]
    if len(keys) > _FEW_KEYS:
        keys[_FEW_KEYS - 1 :] = [f"{len(keys) - _FEW_KEYS + 1} more"]
    return ", ".join(keys)


_FEW_KEYS = 5


def _for_shell(word: str) -> str:
    import shlex  # here, since this module is part of every start and the errors that quote are rare

    return shlex.quote(word)


def _restore(kind: type[EtcdSettingsError], args: tuple[Any, ...], facts: dict[str, Any]) -> EtcdSettingsError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error
