"""What the adapter for python-decouple promises, and the pitfalls of decouple that it must not fall into."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from decouple import Config, Csv, RepositoryEmpty, RepositoryEnv, UndefinedValueError
from hypothesis import given
from hypothesis import strategies as st

from etcd_settings import Live, Source, hooks
from etcd_settings.errors import (
    ConfigurationError,
    ConflictError,
    DecodeError,
    EtcdSettingsError,
    UnavailableError,
)
from etcd_settings.integrations.decouple import EtcdRepository
from etcd_settings.stores.memory import MemoryStore
from tests.integrations.holding import held, put

NOWHERE = "etcd://127.0.0.1:1/config/app/"
"""Nobody listens there."""


def delete(source: Source, path: str) -> None:
    assert 1 == source.store.delete(f"/config/app/{path}")


@pytest.fixture
def env_file(tmp_path: Path) -> RepositoryEnv:
    """Give decouple's own repository of a file that has two settings."""
    (tmp_path / ".env").write_text("DATABASE_HOST=from the file\nONLY_THERE=from the file\n")
    return RepositoryEnv(str(tmp_path / ".env"))


# --- names ---

TREE = {
    "debug": "true",
    "database/host": "db1",
    "database/max-connections": "20",
    "Cache/Redis/url": "redis://",
    "log_level": "info",
    "pool.json": '{"size": 5, "ratio": 0.5, "on": true, "none": null, "names": ["a", "b"], "deep": {"er": "x"}}',
    "hosts/0": "a",
    "hosts/1": "b",
    "empty": "",
}


@pytest.mark.parametrize(
    ("option", "expected"),
    {
        "DEBUG": "true",
        "DATABASE_HOST": "db1",
        "DATABASE__HOST": "db1",
        "database_host": "db1",
        "DATABASE_MAX_CONNECTIONS": "20",
        "DATABASE__MAX_CONNECTIONS": "20",
        "CACHE_REDIS_URL": "redis://",
        "CACHE__REDIS__URL": "redis://",
        "LOG_LEVEL": "info",
        "POOL_SIZE": "5",
        "POOL__RATIO": "0.5",
        "POOL_ON": "true",
        "POOL_NONE": "null",
        "POOL_NAMES": '["a", "b"]',
        "POOL_DEEP_ER": "x",
        "HOSTS_1": "b",
        "EMPTY": "",
    }.items(),
)
def test_a_name_finds_its_key(option: str, expected: str) -> None:
    """A slash is one underscore or two, a hyphen is one, case is no matter; what is found is always a text."""
    assert expected == Config(EtcdRepository(held(TREE)))(option)


@pytest.mark.parametrize("option", ["DATABASE", "HOST", "DATABASE__MAX__CONNECTIONS", "LOG__LEVEL", "CACHE__REDIS_URL"])
def test_two_underscores_are_a_slash_and_nothing_else(option: str) -> None:
    """A branch is no setting, and a name with two underscores is read strictly."""
    with pytest.raises(UndefinedValueError):
        Config(EtcdRepository(held(TREE)))(option)


def test_what_one_underscore_could_mean_twice_is_an_error_when_asked_for() -> None:
    """Both keys are named, and the names that tell them apart; these work, and so does everything else."""
    config = Config(EtcdRepository(held({"a/b_c": "1", "a_b/c": "2", "other": "3"})))

    with pytest.raises(ConflictError) as caught:
        config("A_B_C", default="x")

    assert ("/config/app/a/b_c", "/config/app/a_b/c") == caught.value.keys
    assert "ask for 'A_B__C' or 'A__B_C'" in str(caught.value)
    assert ["1", "2", "3"] == [config("A__B_C"), config("A_B__C"), config("OTHER")]


def test_a_key_with_an_underscore_and_one_with_a_slash() -> None:
    """Two underscores choose the one with the slash."""
    config = Config(EtcdRepository(held({"database_host": "1", "database/host": "2"})))

    with pytest.raises(ConflictError, match="ask for 'DATABASE__HOST'"):
        config("DATABASE_HOST")

    assert "2" == config("DATABASE__HOST")


@pytest.mark.parametrize(
    ("keys", "option"),
    [
        ({"Host": "1", "host": "1"}, "HOST"),  # one object in CPython, and two keys all the same
        ({"max-size": "1", "max_size": "2"}, "MAX_SIZE"),
        ({"Db/host": "1", "db/Host": "2"}, "DB__HOST"),
        ({"Db": "1", "db/host": "2"}, "DB"),
        ({"a__b": "1", "a/b": "2"}, "A__B"),
    ],
)
def test_two_spellings_of_one_name_in_one_layer_are_an_error(keys: Mapping[str, str], option: str) -> None:
    """Nobody could say which of them was meant."""
    with pytest.raises(ConflictError) as caught:
        Config(EtcdRepository(held(keys)))(option)

    assert {f"/config/app/{key}" for key in keys} == set(caught.value.keys)
    assert "Rename one of them." in str(caught.value)


def test_two_spellings_of_a_branch_share_it() -> None:
    """Only settings can contradict each other."""
    config = Config(EtcdRepository(held({"Database/host": "1", "database/port": "2"})))

    assert ["1", "2"] == [config("DATABASE_HOST"), config("DATABASE_PORT")]


def test_of_two_layers_the_higher_wins_however_it_spells() -> None:
    """Names are folded before layers are laid over one another, also those within a JSON object that is a base."""
    keys = {
        "common/max-size": "1",
        "common/database": '{"Host": "low", "Port": 1}',
        "common/text": "covered",
        "prod/Max_Size": "2",
        "prod/DATABASE/host": "high",
        "prod/text/below": "seen",
    }
    config = Config(EtcdRepository(held(keys, layers=("common/", "prod/"))))

    assert ["2", "high", "1"] == [config(name) for name in ("MAX_SIZE", "DATABASE_HOST", "DATABASE_PORT")]
    assert ("seen", None) == (config("TEXT_BELOW"), config("TEXT", default=None))


segments = st.from_regex(r"[ab][ab_-]{0,2}", fullmatch=True)


def strict(path: tuple[str, ...]) -> str:
    return "__".join(path).replace("-", "_").upper()


@given(st.dictionaries(st.tuples(segments, segments), st.text("xyz"), max_size=6))
def test_a_strict_name_finds_its_key_or_tells_why_not(keys: dict[tuple[str, str], str]) -> None:
    """The name with two underscores finds its key, unless another key has the same name; then it is an error."""
    store = MemoryStore()
    for path, value in keys.items():
        store.put("/config/app/" + "/".join(path), value)
    repository = EtcdRepository(Source(store=store, prefix="/config/app/"))
    found: dict[tuple[str, str], str] = {}

    for path in keys:
        with suppress(ConflictError):
            found[path] = repository[strict(path)]

    names = Counter(strict(path) for path in keys)
    alone = {path for path in keys if names[strict(path)] == 1}
    assert {path: keys[path] for path in alone} == found


# --- what decouple does with a repository ---


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """decouple looks there before it asks anybody, even one who is down."""
    config = Config(EtcdRepository(held({"debug": "etcd"})))
    monkeypatch.setenv("DEBUG", "environment")

    assert "environment" == config("DEBUG")


def test_casts_work_on_texts() -> None:
    """Casts get texts, as from any repository: an empty one is False, is no number, and is not missing."""
    config = Config(EtcdRepository(held({"debug": "on", "port": "80", "hosts": "a, b", "empty": ""})))

    assert (True, 80, ["a", "b"]) == (config("DEBUG", cast=bool), config("PORT", cast=int), config("HOSTS", cast=Csv()))
    assert (False, "") == (config("EMPTY", cast=bool), config("EMPTY", default="x"))
    with pytest.raises(ValueError, match="invalid literal"):
        config("EMPTY", cast=int)


def test_what_is_not_there_is_undefined() -> None:
    """Without a default it is decouple's own error; a default is cast as values are."""
    config = Config(EtcdRepository(held({})))

    with pytest.raises(UndefinedValueError):
        config("MISSING")
    assert 5 == config("MISSING", default="5", cast=int)


def test_both_lookups_of_an_option_see_one_snapshot() -> None:
    """What `in` has promised, the next `[]` keeps, though the key goes away in between; the one after that is new."""
    source = held({"key": "old"})
    repository = EtcdRepository(source)

    assert "KEY" in repository
    delete(source, "key")
    source.refresh()

    assert "old" == repository["KEY"]
    assert "KEY" not in repository
    with pytest.raises(KeyError):
        repository["KEY"]


def test_a_promise_is_kept_to_the_thread_that_got_it() -> None:
    """Another thread's lookup in between sees the new state, and does not take the old one away."""
    source = held({"key": "old"})
    repository = EtcdRepository(source)
    assert "KEY" in repository
    put(source, "key", "new")
    source.refresh()
    seen: list[str] = []

    other = threading.Thread(target=lambda: seen.append(Config(repository)("KEY")))
    other.start()
    other.join()

    assert (["new"], "old") == (seen, repository["KEY"])


def test_a_promise_is_about_one_option() -> None:
    """Somebody else's `in` is no answer."""
    repository = EtcdRepository(held({"a": "1", "b": "2"}))

    assert "A" in repository
    assert "2" == repository["B"]


def test_a_key_that_comes_and_goes_is_there_or_it_is_not() -> None:
    """Many threads, each reading anew: there is a value or the default, and never a KeyError in between."""
    source = Source("memory://come-and-go/config/app/", ttl=0)
    config = Config(EtcdRepository(source))
    enough = threading.Event()
    seen: set[object] = set()
    failures: list[Exception] = []

    def read() -> None:
        try:
            while not enough.is_set():
                seen.add(config("KEY", default=None))
        except Exception as e:  # noqa: BLE001  # any is what the test is about
            failures.append(e)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        put(source, "key", "value")
        delete(source, "key")
    while not failures and len(seen) < 2:
        put(source, "key", "value")
        delete(source, "key")
    enough.set()
    for thread in threads:
        thread.join()
    source.close()

    assert ([], {"value", None}) == (failures, seen)


# --- reading ---


def test_making_one_reads_nothing_and_all_options_one_snapshot() -> None:
    """The first option reads everything; the rest ask nobody while it is fresh."""
    source = held(TREE)
    reads: list[object] = []
    stop = hooks.observe(lambda event: reads.append(event) if isinstance(event, hooks.Read) else None)
    config = Config(EtcdRepository(source))
    assert "empty" == source.status().state

    assert ["true", "db1", "info"] == [config(name) for name in ("DEBUG", "DATABASE_HOST", "LOG_LEVEL")]

    stop()
    assert 1 == len(reads)


def test_a_change_is_there_when_the_source_reads_it() -> None:
    """Nothing is kept beyond the source's own time."""
    source = held({"key": "old"})
    config = Config(EtcdRepository(source))
    assert "old" == config("KEY")

    put(source, "key", "new")
    source.refresh()

    assert "new" == config("KEY")


def test_equal_urls_share_a_source() -> None:
    """A URL means the process's one source for it, with options too."""
    one = EtcdRepository("memory://shared/config/app", layers=["a/"])
    other = EtcdRepository("memory://shared/config/app/", layers=("a/",))

    assert one.source is other.source
    one.source.close()


def test_a_live_builds_of_it() -> None:
    """A factory that asks decouple is followed like any other."""
    source = held({"pool/size": "5"})
    config = Config(EtcdRepository(source))

    with Live(lambda: {"size": config("POOL_SIZE", cast=int)}) as live:
        put(source, "pool/size", "9")
        assert "applied" == live.wait(source.store.revision, 30)
        assert {"size": 9} == live.current


# --- outages, fallbacks, errors ---


def test_an_outage_is_no_missing_setting(env_file: RepositoryEnv) -> None:
    """With a default, with a fallback, with both: the error is ours, and names the endpoint."""
    for config in (Config(EtcdRepository(NOWHERE)), Config(EtcdRepository(NOWHERE, fallback=env_file))):
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1: connection refused"):
            config("DATABASE_HOST", default="localhost")


def test_an_outage_may_be_allowed(env_file: RepositoryEnv) -> None:
    """If etcd is not required, the fallback and the defaults are asked."""
    config = Config(EtcdRepository(NOWHERE, required=False, fallback=env_file))

    assert "from the file" == config("DATABASE_HOST")
    assert 5 == config("POOL_SIZE", default=5)
    with pytest.raises(UndefinedValueError):
        config("POOL_SIZE")


def test_a_fallback_has_what_etcd_has_not(env_file: RepositoryEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """etcd wins; of what neither has, decouple knows what to do. The environment is not the fallback's to give."""
    repository = EtcdRepository(held({"database/host": "from etcd"}), fallback=env_file)
    config = Config(repository)
    monkeypatch.setenv("ENVIRONMENT_ONLY", "x")

    assert ["from etcd", "from the file"] == [config("DATABASE_HOST"), config("ONLY_THERE")]
    assert "ENVIRONMENT_ONLY" not in repository
    with pytest.raises(UndefinedValueError):
        config("NEITHER")
    with pytest.raises(UndefinedValueError):
        Config(EtcdRepository(held({}), fallback=RepositoryEmpty()))("NEITHER")


def test_fallbacks_may_be_chained() -> None:
    """A repository is a fallback too, and so is a dict."""
    lowest = EtcdRepository(held({"b": "2"}), fallback={"C": "3"})
    config = Config(EtcdRepository(held({"a": "1"}), fallback=lowest))

    assert ["1", "2", "3"] == [config("A"), config("B"), config("C")]


def test_a_value_that_is_no_text_is_an_error_for_who_asks() -> None:
    """The key is named; other options do not care."""
    config = Config(EtcdRepository(held({"binary": b"\xff\xfe", "debug": "true"})))

    with pytest.raises(DecodeError, match=r"'/config/app/binary' is not valid UTF-8"):
        config("BINARY", default="x")
    assert "true" == config("DEBUG")


def test_no_error_shows_a_value() -> None:
    """Neither of names, nor of documents; nor does a repr."""
    secret = "s3cr3t-value"
    repository = EtcdRepository(held({"Host": secret, "host": secret, "a/b_c": secret, "a_b/c": secret}))
    broken = EtcdRepository(held({"x.json": f'{{"a": "{secret}"'}))

    for asked, option in [(repository, "HOST"), (repository, "A_B_C"), (broken, "X_A")]:
        with pytest.raises(EtcdSettingsError) as caught:
            asked[option]
        seen = [caught.value, caught.value.__cause__, caught.value.__context__]
        assert secret not in f"{seen} {[getattr(e, '__dict__', None) for e in seen]}"
    assert secret not in repr(repository)


def test_options_belong_to_a_url() -> None:
    """A source has its own; a URL that means nothing is an error at once."""
    with pytest.raises(ConfigurationError, match="Give layers, ttl to the Source"):
        EtcdRepository(held({}), layers=["a/"], ttl=5)
    with pytest.raises(ConfigurationError):
        EtcdRepository("http://localhost/")
    with pytest.raises(ConfigurationError, match="ETCD_SETTINGS_URL"):
        EtcdRepository()
