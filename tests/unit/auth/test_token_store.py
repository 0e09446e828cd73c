"""The token file: whole or untouched, private, and never the wrong one."""

import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.auth.entra import Registration
from exporter.auth.token_store import TokenRecord, TokenStore
from exporter.errors import StateError, TokenStoreError
from exporter.files import StateDirectory, signature
from exporter.local_text import local_text
from exporter.messages import line
from exporter.model.status import Identity

IDENTITY = Identity("global", "tenant", "client")
REGISTRATION = Registration(
    partner=line("contoso"),
    identity=IDENTITY,
    authority=line("https://login.example/tenant"),
    scope="https://api.example/x",
)


def record(refresh_token: str = "first", *, issued_at: float | None = 5.0) -> TokenRecord:
    return TokenRecord(identity=IDENTITY, refresh_token=refresh_token, issued_at=issued_at)


def open_store(folder: Path) -> TokenStore:
    return TokenStore(StateDirectory(folder), REGISTRATION)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return open_store(tmp_path)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def write(store: TokenStore, content: bytes) -> None:
    store.path.parent.mkdir(parents=True, exist_ok=True)
    store.path.write_bytes(content)
    store.path.chmod(0o600)


def test_there_is_no_token_at_first(store: TokenStore) -> None:
    assert store.load() is None


def test_a_stored_token_is_found_by_the_next_program(store: TokenStore, tmp_path: Path) -> None:
    kept = TokenRecord(
        identity=IDENTITY, refresh_token="t", issued_at=7.5, account=line("a@b.example"), seed_digest="d"
    )
    assert store.save(kept, replacing=None)
    assert open_store(tmp_path).load() == kept


@pytest.mark.usefixtures("open_umask")
def test_only_the_owner_can_read_a_token_whatever_the_umask(store: TokenStore) -> None:
    store.save(record(), replacing=None)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_a_token_replaces_the_one_that_it_came_from(store: TokenStore) -> None:
    store.save(record("first"), replacing=None)
    assert store.save(record("second"), replacing=record("first"))
    assert store.load() == record("second")
    assert sorted(file.name for file in store.path.parent.iterdir()) == [".lock", "contoso.json"]


def test_a_token_of_another_process_is_not_replaced(store: TokenStore) -> None:
    store.save(record("first"), replacing=None)
    store.overwrite(record("of a new sign-in"))
    assert not store.save(record("second"), replacing=record("first"))
    assert store.load() == record("of a new sign-in")


def test_a_token_that_is_gone_is_written_again(store: TokenStore) -> None:
    store.save(record("first"), replacing=None)
    store.path.unlink()
    assert store.save(record("second"), replacing=record("first"))


def test_a_new_sign_in_replaces_any_token(store: TokenStore) -> None:
    other = TokenRecord(identity=Identity("china", "else", "where"), refresh_token="theirs", issued_at=None)
    store.save(other, replacing=None)
    store.overwrite(record("ours"))
    assert store.load() == record("ours")


def test_the_signature_changes_with_every_token(store: TokenStore) -> None:
    signatures = set()
    for number in range(5):
        store.overwrite(record(f"token {number}"))
        signatures.add(signature(store.path))
        assert signature(store.path) == signature(store.path)
    assert len(signatures) == 5


def test_a_record_never_shows_its_token() -> None:
    shown = record("s3cret-token")
    assert "s3cret" not in f"{shown!r} {shown} {shown.secret!r} {[shown]}"


DAMAGED = {
    "empty": b"",
    "cut off": b'{"identity":{"cloud":"global","tenant_id":"t","client',
    "no object": b"[]",
    "null": b"null",
    "no text": b"\xff\xfe\x00\x01",
    "nested without end": b"[" * 100_000,
    "no token": json.dumps({"identity": {"cloud": "c", "tenant_id": "t", "client_id": "i"}}).encode(),
    "an empty token": json.dumps(
        {"identity": {"cloud": "c", "tenant_id": "t", "client_id": "i"}, "refresh_token": "", "issued_at": None}
    ).encode(),
    "wrong types": json.dumps({"identity": 5, "refresh_token": 7, "issued_at": "x"}).encode(),
}
OF_OTHER_VERSIONS = (
    {"version": 2, "identity": {"cloud": "c", "tenant_id": "t", "client_id": "i"}, "refresh_token": "t"},
    {"version": 3, "identity": "of another kind", "tokens": []},
    {"version": 0},
)


def refuses_and_leaves(store: TokenStore) -> TokenStoreError:
    """Return the refusal of every use of the file; assert that the file stays as it is."""
    content, before = store.path.read_bytes(), store.path.stat()
    with pytest.raises(TokenStoreError) as caught:
        store.load()
    for save in (
        lambda: store.save(record("new"), replacing=None),
        lambda: store.save(record("new"), replacing=record()),
        lambda: store.overwrite(record("new")),
    ):
        with pytest.raises(TokenStoreError):
            save()
    after = store.path.stat()
    assert store.path.read_bytes() == content
    assert (after.st_mode, after.st_uid, after.st_ino) == (before.st_mode, before.st_uid, before.st_ino)
    assert sorted(file.name for file in store.path.parent.iterdir()) == [".lock", "contoso.json"]
    assert str(store.path) in caught.value.message
    assert "partnercenter-exporter login --partner contoso" in caught.value.remedy
    return caught.value


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_neither_used_nor_overwritten(store: TokenStore, content: bytes) -> None:
    write(store, content)
    error = refuses_and_leaves(store)
    assert error.message.endswith("it is corrupt")
    assert error.remedy.startswith("move the file away and sign in again")


@pytest.mark.parametrize("content", OF_OTHER_VERSIONS, ids=lambda content: f"version {content['version']}")
def test_a_file_of_another_version_is_neither_used_nor_overwritten(
    store: TokenStore, content: dict[str, object]
) -> None:
    write(store, json.dumps(content).encode())
    error = refuses_and_leaves(store)
    assert error.message.endswith("another version of this program wrote it")
    assert error.remedy.startswith("run that version")


@pytest.mark.parametrize("issued_at", [-1, 1e308, -1e308, 1e12, 10**18])
def test_a_token_with_an_impossible_date_is_used_without_it(store: TokenStore, issued_at: float) -> None:
    store.save(record(), replacing=None)
    store.path.write_text(json.dumps(json.loads(store.path.read_bytes()) | {"issued_at": issued_at}))
    assert store.load() == record(issued_at=None)
    assert store.save(record("next"), replacing=record(issued_at=None))


@pytest.mark.parametrize("account", ["\x1b]0;x\x07", "a\nb\r\nc", "\u202e", "x" * 5_000, "x y " * 5_000])
def test_a_tokens_account_is_one_printable_line(store: TokenStore, account: str) -> None:
    kept = TokenRecord(identity=IDENTITY, refresh_token="t", account=local_text(account))
    store.save(kept, replacing=None)
    store.path.write_text(json.dumps(json.loads(store.path.read_bytes()) | {"account": account}))
    found = store.load()
    assert found == kept
    assert found.account is not None
    assert found.account.isprintable()
    assert len(found.account) <= 1_001


def test_a_huge_file_is_neither_used_nor_overwritten(store: TokenStore) -> None:
    write(store, b"")
    with store.path.open("wb") as file:
        file.truncate(8 * 1024**4)
    for use in (store.load, lambda: store.overwrite(record())):
        with pytest.raises(TokenStoreError, match="larger than"):
            use()
    assert store.path.stat().st_size == 8 * 1024**4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_neither_used_nor_overwritten(store: TokenStore) -> None:
    store.save(record(), replacing=None)
    os.chown(store.path, 12_345, -1)
    assert "user id 12345" in refuses_and_leaves(store).message


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
def test_a_file_that_everybody_can_read_or_write_is_neither_used_nor_overwritten(store: TokenStore, mode: int) -> None:
    store.save(record(), replacing=None)
    store.path.chmod(mode)
    assert "world-readable" in refuses_and_leaves(store).message


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o660])
def test_a_file_that_the_group_can_read_is_used(store: TokenStore, mode: int) -> None:
    """Kubernetes makes volumes readable by the pod's group."""
    store.save(record(), replacing=None)
    store.path.chmod(mode)
    assert store.load() == record()


def test_a_folder_in_place_of_the_file_is_an_error_of_the_state(store: TokenStore) -> None:
    store.path.mkdir(parents=True)
    with pytest.raises(StateError, match="can't read"):
        store.load()


def test_a_file_in_place_of_the_folder_is_an_error_of_the_state(store: TokenStore, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("in the way")
    with pytest.raises(StateError, match="can't write"):
        store.save(record(), replacing=None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary()
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_no_content_is_mistaken_for_a_token(store: TokenStore, content: bytes) -> None:
    write(store, content)
    with pytest.raises(TokenStoreError):
        store.load()


words = st.text(st.characters(exclude_categories=["Cs"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kept=st.builds(
        TokenRecord,
        identity=st.builds(Identity, words, words, words),
        refresh_token=words.filter(bool),
        issued_at=st.none() | st.floats(0, 1e11),
        account=st.none() | words,
        seed_digest=st.none() | words,
    )
)
def test_any_record_is_read_back_unchanged(store: TokenStore, kept: TokenRecord) -> None:
    store.overwrite(kept)
    assert store.load() == kept


def test_concurrent_writers_never_overwrite_what_they_have_not_seen(tmp_path: Path) -> None:
    """Two programs of two threads each count together: an overwritten step would be missing in the end."""
    open_store(tmp_path).overwrite(record(issued_at=0.0))
    stores = [open_store(tmp_path) for _ in range(2)]

    def count(store: TokenStore) -> None:
        done = 0
        while done < 25:
            seen = store.load()
            assert seen is not None
            done += store.save(record(issued_at=(seen.issued_at or 0.0) + 1.0), replacing=seen)

    threads = [threading.Thread(target=count, args=(store,)) for store in stores for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert open_store(tmp_path).load() == record(issued_at=100.0)
