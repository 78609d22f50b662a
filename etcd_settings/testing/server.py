"""
Give a test one real etcd, as long as it needs it.

`EtcdServer` is a site with a single member: it makes the folder and the certificates, starts the member, and switches
authentication on if that was asked for. It knows nothing of sources and settings.

Invariant: nothing is left behind, neither a process nor a folder, however the program ends.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from etcd_settings.keys import normalize_prefix
from etcd_settings.testing.binaries import Binaries, find_binaries
from etcd_settings.testing.certificates import issue_certificates
from etcd_settings.testing.member import Member
from etcd_settings.testing.site import APP, PREFIX, Site

__all__ = ["EtcdServer", "make_site", "remove_folder"]


class EtcdServer(Member):
    """
    A real etcd on the loopback interface, made for one test or one session, and gone with it. Not thread-safe.

    Use it in a ``with``, or call `start` and, at last, `close`. `stop`, `kill` and `start` in between make outages:
    address and data survive them.

    Args:
        tls: Speak TLS; ``"mutual"`` asks clients for a certificate too.

        auth: Switch authentication on: user ``app`` may read and write the prefix, user ``root`` everything.

        prefix: The prefix that `url` names.

        port: Where to listen; by default a free port.

        data_dir: Where the data lie. They then survive `close`, and are written to disk with care; by default they are
            gone with the server.

        args: More flags for etcd, such as ``("--max-txn-ops", "256")``.

        binaries: Which etcd; by default `find_binaries` decides.

        start_timeout: Seconds until it must be healthy.

    Raises:
        ConfigurationError: There is no etcd, or what TLS needs is not installed.
    """

    def __init__(
        self,
        tls: bool | Literal["mutual"] = False,
        auth: bool = False,
        *,
        prefix: str = PREFIX,
        port: int | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        args: tuple[str, ...] = (),
        binaries: Binaries | None = None,
        start_timeout: float = 30.0,
    ) -> None:
        site = make_site(tls=tls, auth=auth, prefix=prefix, args=args, binaries=binaries)
        self._forget = weakref.finalize(self, remove_folder, site.folder, os.getpid())
        data = None if data_dir is None else Path(data_dir).absolute()
        super().__init__(site, name="etcd", data_dir=data, port=port, start_timeout=start_timeout)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        super().start()
        if self.site.auth:
            self.site.secure(self.endpoint)

    def backup(self, path: str | os.PathLike[str]) -> Path:
        """Save all that it holds to a file (`etcdctl snapshot save`)."""
        file = Path(path).absolute()
        self.etcdctl("snapshot", "save", file)
        return file

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Stop it, give it the data of a backup instead of its own, and start it at the same address."""
        self.stop()
        self.load(Path(path).absolute())
        self.start()

    def close(self) -> None:
        """End it for good, and remove its folder. Closing twice is harmless, and so is closing in a forked child."""
        super().close()
        self._forget()


def make_site(
    *,
    tls: bool | Literal["mutual"],
    auth: bool,
    prefix: str,
    args: tuple[str, ...],
    binaries: Binaries | None,
) -> Site:
    """Make the folder, and in it all that must be there before the first start."""
    found = binaries or find_binaries()
    folder = Path(tempfile.mkdtemp(prefix="etcd-settings-"))
    try:
        certificates = issue_certificates(folder, common_name=APP[0]) if tls else None
    except BaseException:
        shutil.rmtree(folder)
        raise
    return Site(
        binaries=found,
        folder=folder,
        prefix=normalize_prefix(prefix),
        certificates=certificates,
        mutual=tls == "mutual",
        auth=auth,
        args=args,
    )


def remove_folder(folder: Path, owner: int) -> None:
    """Remove a folder at the end of the process *owner*, and of no other."""
    if os.getpid() == owner:  # a forked child runs its own exit functions, and the folder is not its own
        shutil.rmtree(folder, ignore_errors=True)
