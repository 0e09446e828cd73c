"""Basic authentication and headers, as a request meets them, with the pages behind."""

import asyncio
import base64
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import bcrypt
import pytest
from starlette.types import ASGIApp, Message

from exporter.web.toolkit.config_file import WebSettings
from exporter.web.toolkit.guard import Guard
from tests.integration.web.conftest import ExporterState
from tests.support.process import PATIENCE_SECONDS

OK, UNAUTHORIZED, BUSY = 200, 401, 503


def hashed(password: bytes, *, cost: int = 4, prefix: bytes = b"2b") -> bytes:
    """Return a bcrypt hash; a low cost spares the tests' time."""
    return bcrypt.hashpw(password[:72], bcrypt.gensalt(cost)).replace(b"$2b$", b"$" + prefix + b"$")


ALICE, BOB = hashed(b"correct horse"), hashed(b"battery staple")


def basic(user: str, password: bytes | str) -> str:
    """Return the Authorization header."""
    secret = password.encode() if isinstance(password, str) else password
    return "Basic " + base64.b64encode(user.encode() + b":" + secret).decode()


RIGHT = basic("alice", "correct horse")


@dataclass
class Checker:
    """Stands in for bcrypt: a password fits the hash that holds the same words. It can be held up."""

    checked: list[tuple[bytes, bytes]] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    busy: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self.held.set()

    def __call__(self, password: bytes, expected: bytes) -> bool:
        self.checked.append((password, expected))
        self.busy.release()
        assert self.held.wait(PATIENCE_SECONDS)
        return expected.endswith(b"$" + password)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Let every check wait, as under a flood."""
        self.held.clear()
        try:
            yield
        finally:
            self.held.set()

    async def wait_until_busy(self) -> None:
        """Wait for a check to begin."""
        assert await asyncio.to_thread(self.busy.acquire, timeout=PATIENCE_SECONDS)


@dataclass
class Answer:
    """An answer's status, headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    guard: Guard,
    authorization: str | bytes | None = None,
    *,
    path: str = "/metrics",
    method: str = "GET",
    address: str | None = "192.0.2.1",
) -> Answer:
    """Send one request through the guard."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    value = authorization.encode("utf-8") if isinstance(authorization, str) else authorization
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [] if value is None else [(b"authorization", value)],
        "client": address and (address, 1234),
    }
    await guard(scope, receive, send)
    start, *rest = messages
    headers = {name.decode(): text.decode() for name, text in start["headers"]}
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in rest))


def statuses(guard: Guard, authorizations: Sequence[str | bytes | None]) -> list[int]:
    """Return the status of each request, sent one after the other."""

    async def send_all() -> list[int]:
        return [(await ask(guard, given)).status for given in authorizations]

    return asyncio.run(send_all())


def guarded(app: ASGIApp, **users: bytes) -> Guard:
    """Return the pages behind real bcrypt."""
    return Guard(app, lambda: WebSettings(users=users))


def test_without_users_no_password_is_needed(app: ASGIApp) -> None:
    assert statuses(Guard(app, WebSettings), [None, basic("alice", "whatever")]) == [OK, OK]


def test_only_the_right_password_is_accepted(app: ASGIApp) -> None:
    guard = guarded(app, alice=ALICE, bob=BOB)
    wrong = ["", "correct horse ", "Correct horse", "battery staple", "correct horse\0", "x" * 10_000]
    assert statuses(guard, [RIGHT, basic("bob", "battery staple")]) == [OK, OK]
    assert statuses(guard, [basic("alice", given) for given in wrong]) == [UNAUTHORIZED] * len(wrong)
    assert statuses(guard, [basic(user, "correct horse") for user in ("", "Alice", "carol")]) == [401] * 3


@pytest.mark.parametrize("password", ["a:b:c", ":", "Grüße 😀", " ", "\u202e\t\n"], ids=ascii)
def test_odd_passwords_work(app: ASGIApp, password: str) -> None:
    guard = guarded(app, alice=hashed(password.encode()))
    sent = [basic("alice", password), basic("alice", password + " "), basic("alice", password[:-1])]
    assert statuses(guard, sent) == [OK, UNAUTHORIZED, UNAUTHORIZED]


def test_of_a_long_password_the_first_72_bytes_count_as_in_go(app: ASGIApp) -> None:
    guard = guarded(app, alice=hashed(b"a" * 72))
    sent = [b"a" * 72, b"a" * 73, b"a" * 72 + b"other", b"a" * 71]
    assert statuses(guard, [basic("alice", given) for given in sent]) == [OK, OK, OK, UNAUTHORIZED]


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
def test_hashes_of_every_kind_work(app: ASGIApp, prefix: bytes) -> None:
    guard = guarded(app, alice=hashed(b"secret", prefix=prefix))
    assert statuses(guard, [basic("alice", "secret"), basic("alice", "Secret")]) == [OK, UNAUTHORIZED]


def test_a_hash_that_htpasswd_made_works(app: ASGIApp) -> None:
    """From exporter-toolkit's own tests."""
    made = b"$2y$12$1DpfPeqF9HzHJt.EWswy1exHluGfbhnn3yXhR7Xes6m3WJqFg0Wby"
    assert statuses(guarded(app, alice=made), [basic("alice", "alice123")]) == [OK]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YWxpY2U",
        "Basic YWxpY2U=",
        "Bearer " + RIGHT.partition(" ")[2],
        RIGHT.replace(" ", "  x"),
        RIGHT + "=",
        "Basic " + base64.b64encode(b"\xff\xfe:correct horse").decode(),
        b"Basic \xff\xfe",
        "Basic " + "A" * 10_000,
        "Basic Grüße",
    ],
    ids=lambda header: ascii(header[:20]),
)
def test_a_malformed_header_is_no_sign_in(app: ASGIApp, header: str | bytes) -> None:
    assert statuses(guarded(app, alice=ALICE), [header]) == [UNAUTHORIZED]


@pytest.mark.parametrize("header", [RIGHT.replace("Basic", "basic"), RIGHT.replace("Basic ", "BASIC   ")])
def test_the_scheme_is_accepted_in_any_case(app: ASGIApp, header: str) -> None:
    assert statuses(guarded(app, alice=ALICE), [header]) == [OK]


def test_a_refusal_asks_for_a_sign_in_and_reveals_nothing_else(app: ASGIApp) -> None:
    for path in ("/metrics", "/", "/-/reload", "/nothing", "/-/healthy/", "//-/healthy"):
        answer = asyncio.run(ask(guarded(app, alice=ALICE), path=path))
        assert (answer.status, answer.body) == (UNAUTHORIZED, b"Unauthorized\n")
        assert answer.headers["www-authenticate"] == "Basic"


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
def test_probes_need_no_password(app: ASGIApp, state: ExporterState, path: str) -> None:
    guard = guarded(app, alice=ALICE)
    assert asyncio.run(ask(guard, path=path)).status == OK
    assert asyncio.run(ask(guard, basic("alice", "wrong"), path=path)).status == OK
    state.problems, state.waiting = ["dead"], ["not yet"]
    assert asyncio.run(ask(guard, path=path)).status == {"/-/healthy": 500, "/-/ready": 503}[path]


def test_the_configured_headers_are_on_every_answer(app: ASGIApp, state: ExporterState) -> None:
    headers = {"X-Frame-Options": "deny", "Content-Security-Policy": "default-src 'none'"}
    settings = WebSettings(headers=tuple(headers.items()), users={"alice": ALICE})
    guard = Guard(app, lambda: settings)
    state.released.set()
    state.problems = ["dead"]
    expected = {name.lower(): value for name, value in headers.items()}
    for path, who, status in (
        ("/metrics", RIGHT, 200),
        ("/", RIGHT, 200),
        ("/nothing", RIGHT, 404),
        ("/-/reload", RIGHT, 405),
        ("/metrics", None, 401),
        ("/-/healthy", None, 500),
    ):
        answer = asyncio.run(ask(guard, who, path=path))
        assert answer.status == status
        assert expected.items() <= answer.headers.items(), path


def test_a_password_is_checked_once_and_then_known(app: ASGIApp) -> None:
    checker = Checker()
    users = {"alice": b"$2b$10$secret"}
    guard = Guard(app, lambda: WebSettings(users=users), matches=checker)
    assert statuses(guard, [basic("alice", "secret")] * 5) == [OK] * 5
    assert statuses(guard, [basic("alice", "wrong")] * 5) == [UNAUTHORIZED] * 5
    assert [password for password, _ in checker.checked] == [b"secret", b"wrong"]


def test_a_new_hash_makes_the_old_password_unknown(app: ASGIApp) -> None:
    checker = Checker()
    users = {"alice": b"$2b$10$old"}
    guard = Guard(app, lambda: WebSettings(users=users), matches=checker)
    old, new = basic("alice", "old"), basic("alice", "new")
    assert statuses(guard, [old, new]) == [OK, UNAUTHORIZED]
    users["alice"] = b"$2b$10$new"
    assert statuses(guard, [old, new]) == [UNAUTHORIZED, OK]
    del users["alice"]
    users["bob"] = b"$2b$10$new"
    assert statuses(guard, [new, basic("bob", "new")]) == [UNAUTHORIZED, OK]


def test_unknown_users_take_as_long_as_known_ones(app: ASGIApp) -> None:
    checker = Checker()
    users = {"alice": b"$2y$12$a", "bob": b"$2a$05$b"}
    guard = Guard(app, lambda: WebSettings(users=users), matches=checker)
    guesses = [basic(f"mallory {number % 50}", f"guess {number}") for number in range(100)]
    assert statuses(guard, guesses) == [UNAUTHORIZED] * 100
    costs = [expected[:7] for _, expected in checker.checked]
    assert set(costs) == {b"$2b$12$", b"$2b$05$"}
    # The same name costs the same each time.
    assert costs[:50] == costs[50:]
    # It is a hash that bcrypt computes to its end, not one that it refuses at once.
    assert bcrypt.checkpw(b"guess", b"$2b$04$" + checker.checked[0][1][7:]) is False


def test_no_password_lets_an_unknown_user_in(app: ASGIApp) -> None:
    guard = Guard(app, lambda: WebSettings(users={"alice": ALICE}), matches=lambda _password, _hash: True)
    assert statuses(guard, [basic("mallory", "guess")] * 2) == [UNAUTHORIZED] * 2


def test_a_flood_of_wrong_passwords_does_not_delay_known_users(app: ASGIApp) -> None:
    checker = Checker()
    guard = Guard(app, lambda: WebSettings(users={"alice": b"$2b$10$secret"}), matches=checker)
    right = basic("alice", "secret")

    async def flood() -> None:
        assert (await ask(guard, right)).status == OK
        # More than any cache of refusals holds.
        for number in range(300):
            await ask(guard, basic("alice", f"guess {number}"))
        with checker.holding():
            wrong = [
                asyncio.create_task(ask(guard, basic("alice", f"try {number}"), address=f"192.0.2.{number}"))
                for number in range(100)
            ]
            await checker.wait_until_busy()
            assert (await ask(guard, right)).status == OK
        answers = [(await task).status for task in wrong]
        assert set(answers) == {UNAUTHORIZED, BUSY}

    asyncio.run(flood())
    assert [password for password, _ in checker.checked].count(b"secret") == 1


def test_one_address_can_not_fill_the_queue(app: ASGIApp) -> None:
    checker = Checker()
    guard = Guard(app, lambda: WebSettings(users={"alice": b"$2b$10$secret"}), matches=checker)

    async def flood() -> tuple[list[Answer], Answer]:
        with checker.holding():
            wrong = [asyncio.create_task(ask(guard, basic("alice", str(number)))) for number in range(100)]
            await checker.wait_until_busy()
            right = asyncio.create_task(ask(guard, basic("alice", "secret"), address="192.0.2.9"))
            await asyncio.sleep(0)
        return [await task for task in wrong], await right

    wrong, right = asyncio.run(flood())
    assert right.status == OK
    refused = [answer for answer in wrong if answer.status == BUSY]
    assert len(refused) == 100 - 8
    assert all(answer.headers["retry-after"] == "1" for answer in refused)


@pytest.mark.parametrize("addresses", [4, 8, 16])
def test_several_addresses_can_not_fill_the_queue_either_and_everyone_has_a_turn(app: ASGIApp, addresses: int) -> None:
    checker = Checker()
    guard = Guard(app, lambda: WebSettings(users={"alice": b"$2b$10$secret"}), matches=checker)

    async def flood() -> tuple[list[int], Answer]:
        with checker.holding():
            wrong = [
                asyncio.create_task(ask(guard, basic("alice", f"{number}"), address=f"192.0.2.{number % addresses}"))
                for number in range(100)
            ]
            await checker.wait_until_busy()
            right = asyncio.create_task(ask(guard, basic("alice", "secret"), address="192.0.2.99"))
            await asyncio.sleep(0)
        return [(await task).status for task in wrong], await right

    wrong, right = asyncio.run(flood())
    assert right.status == OK
    assert (wrong.count(UNAUTHORIZED), wrong.count(BUSY)) == (31, 69)
    # After one of each address, of which the first one had begun.
    assert [password for password, _ in checker.checked].index(b"secret") <= addresses + 1


def test_equal_sign_ins_at_once_are_checked_once(app: ASGIApp) -> None:
    checker = Checker()
    guard = Guard(app, lambda: WebSettings(users={"alice": b"$2b$10$secret"}), matches=checker)

    async def together() -> list[int]:
        asking = [asyncio.create_task(ask(guard, basic("alice", "secret"), address=None)) for _ in range(8)]
        return [(await task).status for task in asking]

    assert asyncio.run(together()) == [OK] * 8
    assert len(checker.checked) == 1


def test_places_in_the_queue_are_released(app: ASGIApp) -> None:
    checker = Checker()
    guard = Guard(app, lambda: WebSettings(users={"alice": b"$2b$10$secret"}), matches=checker)

    async def rounds() -> None:
        for turn in range(3):
            asking = [asyncio.create_task(ask(guard, basic("alice", f"{turn} {n}"))) for n in range(8)]
            assert [(await task).status for task in asking] == [UNAUTHORIZED] * 8
        with checker.holding():
            checks = [asyncio.create_task(ask(guard, basic("alice", f"given up {n}"))) for n in range(8)]
            await checker.wait_until_busy()
            for task in checks:
                task.cancel()
            await asyncio.gather(*checks, return_exceptions=True)
        assert (await ask(guard, basic("alice", "secret"))).status == OK

    asyncio.run(rounds())
    # Of those given up the one under way is checked at most: the others must not hold up an exit.
    assert sum(password.startswith(b"given up") for password, _ in checker.checked) <= 1
