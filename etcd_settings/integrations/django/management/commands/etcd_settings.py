"""
Show what etcd says to Django: ``manage.py etcd_settings show|explain|diff|watch``.

Values whose names stand for secrets are masked. It reads through the source that ``settings.py`` loaded from, and
starts nothing but what ``watch`` needs.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from etcd_settings.errors import EtcdSettingsError, UnavailableError
from etcd_settings.integrations.django.following import following
from etcd_settings.integrations.django.loading import Reader
from etcd_settings.live import Change, Live
from etcd_settings.masking import masked

_NO, _UNREACHABLE = 1, 3
"""Exit codes, the same as those of ``etcd-settings``."""


class Command(BaseCommand):
    """The command; one method a verb."""

    help = "Show the settings that etcd holds, where they come from, and how they differ from settings.py."
    requires_system_checks = ()  # it must work while something is wrong

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        for verb, says in (
            ("show", "what etcd holds, typed"),
            ("explain", "which key, layer and revision a setting comes from"),
            ("diff", "settings.py against etcd; exits 1 when they differ"),
            ("watch", "changes, as they come"),
        ):
            one = verbs.add_parser(verb, help=says)
            one.add_argument("--json", action="store_true", help="print JSON")
            if verb == "explain":
                one.add_argument("name", help="such as PAGE_SIZE or DATABASES/default/NAME")
            else:
                one.add_argument("--reveal", action="store_true", help="show secrets too")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002  # Django's signature
        problem: tuple[str, int]
        try:
            reader = following().reader
            getattr(self, f"_{options['verb']}")(reader, options)
        except EtcdSettingsError as e:
            problem = str(e), _UNREACHABLE if isinstance(e, UnavailableError) else _NO
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        else:
            return
        raise CommandError(problem[0], returncode=problem[1])

    def _show(self, reader: Reader, options: dict[str, Any]) -> None:
        values = _shown(reader.read().values, options)
        self._warn_if_old(reader)
        if options["json"]:
            self._print_json(values)
        else:
            for name, value in sorted(values.items()):
                self.stdout.write(f"{name} = {value!r}")

    def _explain(self, reader: Reader, options: dict[str, Any]) -> None:
        found = reader.source.explain(options["name"])
        origins = [
            {"key": one.key, "layer": one.layer, "revision": one.revision}
            for one in (*_some(found.winner), *found.shadowed)
        ]
        if options["json"]:
            winner = origins[0] if found.winner else None
            self._print_json({"winner": winner, "shadowed": origins[1:] if winner else origins})
        for number, one in enumerate([] if options["json"] else origins):
            verb = "comes from" if number == 0 and found.winner else "shadows"
            self.stdout.write(f"{found.path} {verb} {one['key']} (layer {one['layer']!r}, revision {one['revision']})")
        if not origins:
            raise CommandError(f"Etcd holds no single value at {found.path}: settings.py has the say.", returncode=_NO)

    def _diff(self, reader: Reader, options: dict[str, Any]) -> None:
        etcd = reader.read().values
        self._warn_if_old(reader)
        names = sorted(name for name in etcd if not reader.has_default(name) or reader.default(name) != etcd[name])
        here, there = (_shown({name: of(name) for name in names}, options) for of in (reader.default, etcd.__getitem__))
        if options["json"]:
            self._print_json({name: {"settings": here[name], "etcd": there[name]} for name in names})
        for name in [] if options["json"] else names:
            old = repr(here[name]) if reader.has_default(name) else "(nothing)"
            self.stdout.write(f"{name}: {old} -> {there[name]!r}")
        if names:
            raise SystemExit(_NO)

    def _watch(self, reader: Reader, options: dict[str, Any]) -> None:
        import threading

        def tell(change: Change[Any]) -> None:
            names = sorted({path.split(".")[1] for path in change.paths})
            new = _shown({name: change.new.values.get(name) for name in names}, options)
            if options["json"]:
                self.stdout.write(json.dumps({"revision": change.revision, "changes": new}, default=str))
            else:
                for name in names:
                    self.stdout.write(f"{change.revision}: {name} = {new[name]!r}")
            self.stdout.flush()

        with Live(reader.read, on_reject=lambda refused: self.stderr.write(str(refused))) as live:
            live.on_change(tell)
            self.stderr.write(f"Watching {reader.source.options.title} from revision {live.current.revision}.")
            threading.Event().wait()

    def _warn_if_old(self, reader: Reader) -> None:
        status = reader.source.status()
        if status.state in ("stale", "last_good"):
            self.stderr.write(f"Etcd does not answer; this is what it held at revision {status.revision}.")

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, default=str, indent=2, sort_keys=True))


def _shown(values: Any, options: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = dict(values) if options["reveal"] else masked(dict(values))
    return shown


def _some(winner: Any) -> list[Any]:
    return [] if winner is None else [winner]
