"""The fault matrix as a page, docs/reliability.md: it says what the tests compare."""

from tests.reliability.faults import MATRIX, SECTIONS
from tests.reliability.promises import Data, Outcome, Row, Section

_INTRODUCTION = f"""\
# What happens when something goes wrong

Written by `python docs/build.py` from `tests/reliability/faults.py`. Each of the {len(MATRIX)} rows is also a
test: the fault is injected in the simulator, over TLS, and every column of its row is checked.

## What applies to every row

- `/metrics` answers at once and is valid in both formats. It never waits for the upstream.
- Old data stays exactly as it was until a successful poll replaces it, or until it is older than
  `poll.max_staleness`: then it is withdrawn and logged. `partnercenter_up` is 0 for as long as polls fail.
  Before the first successful poll there is no data: nothing is shown rather than something wrong.
- A failed poll is one log line, `poll failed`, with the reason, the fix, and the IDs that Microsoft support
  asks for. `/` shows the same.
- Retries within one poll use exponential back-off with jitter. All attempts of one request have the same
  `MS-RequestId`, all requests of one poll the same `MS-CorrelationId`.
- `/-/healthy` stays 200: a restart does not fix the upstream.
- No token and no secret is ever logged or shown.
- Once the cause is gone, the exporter recovers without a restart.

## How to read the tables

| column | meaning |
|---|---|
| Data | the licence series after the poll: *old* (unchanged) or *fresh* |
| `up` | `partnercenter_up` |
| Counted as | the `reason` on `partnercenter_poll_failures_total`, which increases by one; \
rows on `partnercenter_rows_dropped_total`; \
*auth* is the `error` on `partnercenter_auth_failures_total` |
| `auth_up` | `partnercenter_auth_up`; *as before* where the sign-in was not evaluated |
| Requests | within this one poll, by the `code` on `partnercenter_api_requests_total`; \
*sign-in* where it fails at Entra ID and the API is not called |
| Next poll | *interval*; *back-off*: in a minute, then in 2, 4, 8 … up to the interval; \
*Retry-After*: after that, across restarts too |
| Saved | what is new in `state_dir` after the poll, besides the schedule |
| Fix | the key part of the fix in the log and on `/` |
| Recovers with | what resolves the fault, and how quickly that is detected |

## What the sign-in relies on

Every use of the refresh token returns a new one. It is written to `state_dir` (temporary file, fsync, rename)
before the access token that came with it is used. A crash at any moment thus leaves the old token or the new
one on disk. **A crash between Entra ID's response and the write is harmless because Entra ID does not revoke
the old refresh token when it is used**
([Microsoft says so](https://learn.microsoft.com/entra/identity-platform/refresh-tokens)). If that ever
changes, such a crash requires a new sign-in.

A renewal that is under way at a reload is not waited for. Its token is kept where the reloaded partner finds it,
in memory too while `state_dir` can't be written.

## One exporter per state directory

A running exporter holds the lock `exporter.lock` in `state_dir`. A second one waits 10 seconds, in case the first is
stopping, then ends with status 1 and names the process and host of the other. The lock ends with the process, also
with one that is killed. If the file is deleted, it is there and locked again within a second; if another exporter was
faster, the log says so (`lock of the state directory lost`). Other commands don't take it. A file system without locks
is refused at the start, as before any token is stored.

`poll` leaves a request in `state_dir` that the running exporter takes up within a second. One from before the start, or
older than 5 minutes, means nothing; one that can't be read is logged and ignored. Neither `Retry-After` nor the minute
between two polls is cut short.

## Names, addresses and connections

A host name is looked up within the deadline of the request (`poll.timeout`), whatever the system's resolver does. Of
several addresses, the next one is tried 250 ms after the last, or as soon as that fails, IPv6 and IPv4 in turns, and
the first to answer is used (RFC 8305): a dead address, or IPv6 that leads nowhere, costs a quarter of a second. An
address that accepts a connection with which TLS then comes to nothing costs that request; from the next one on, which
is its first repetition, it is tried last. The same holds for a proxy's name. There is no limit on connections: partners
whose requests hang take none from the others.

## A state directory that hangs

A disk or network share that has stopped answering hangs whoever asks it, and not even a signal ends that. So reads and
writes in `state_dir` have threads of their own, and nobody waits for one longer than 10 seconds (longer for large
files), nor at all while one still hangs. A lock that another program holds is waited for just as long. Polls go on in
memory, `partnercenter_state_writable` is 0, `/-/healthy` stays 200, and SIGTERM ends the exporter with status 0. Once
the file system answers, the newest of everything is written, tokens first. `login`, `check` and `backfill` end with an
error before they sign in, and so does `check --offline`, which takes no lock, where the file system hangs.

A poll that makes no progress for several minutes, from when it is due until it is saved, counts as stuck, and so does
the thread that watches over the others: `/-/healthy` returns 500 and names it.

## Reloading and stopping

A reload first reads every file, builds every partner and creates every thread; only then does it change over, in steps
that can't fail. Whatever goes wrong before that is a failed reload: the running configuration polls on untouched, and
the log, `/` and `partnercenter_config_last_reload_successful` say so. Neither a reload nor the page nor SIGTERM waits
for a request: with a proxy, login host or API that never answers, the exporter exits with status 0 at once.

With `--config.enable-auto-reload`, a file that is half written or missing for a moment is no change, and a failure is
logged once. It is tried again as soon as one of the files changes, and every ten minutes: its reason may be elsewhere.

## The log and other output

Nothing waits for the log. If standard error is closed, full, or has no reader, lines are dropped as a whole; if its
reader stalls, up to 1,000 lines or 1 MiB are kept first. `partnercenter_log_lines_dropped_total` counts what was
dropped. Once lines can be written again, the first is `log lines dropped` with their `count`. Polls, scrapes, reloads
and SIGTERM are not affected; at the end, a stream that stalls gets half a second for the last lines.

The exit status of a command says what the command did, not whether its output could be written: `check | head` ends
with the result of the checks, and `healthcheck` is right on a full disk. Output that was cut short for another reason
than a reader who left is reported on standard error. A reader of standard error that stalls is waited for once, for 10
seconds; one of standard output for as long as it takes, as `less` has it. Only the interactive `login` fails at once,
with status 1, where its URL can't be shown.

## A suspended machine

Intervals, the age of data and the lives of tokens go on while the machine is suspended (on Linux: `CLOCK_BOOTTIME`).
Within 30 seconds of its resuming, overdue polls start and data that is too old is withdrawn. A poll in the middle of
which the machine was suspended goes on, and its thread doesn't count as stuck.

## Crashes

`kill -9` of the whole exporter at random moments is a test too, a thousand times with
`python -m benchmarks.kill`, and so is a year of polls, faults,
reloads, clock steps, suspends, held locks and broken log streams (`python -m benchmarks.soak`).
"""

_COLUMNS = (
    "What goes wrong",
    "Data",
    "`up`",
    "Counted as",
    "`auth_up`",
    "Requests",
    "Next poll",
    "Saved",
    "Fix",
    "Recovers with",
)


def reliability_page() -> str:
    """Return the page as Markdown."""
    return "\n".join([_INTRODUCTION, *(_section(section) for section in SECTIONS)])


def _section(section: Section) -> str:
    head = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"
    rows = [f"| {' | '.join(_cells(row))} |" for row in section.rows]
    return "\n".join([f"## {section.title}\n", f"{section.description}\n", head, *rows, ""])


def _cells(row: Row) -> tuple[str, ...]:
    outcome = row.outcome
    return (
        row.description,
        "none, `rows` is 0" if outcome.data is Data.NONE else outcome.data.value,
        "0" if outcome.reason else "1",
        _counted(outcome),
        _auth_up(outcome),
        _requests(outcome),
        outcome.next_poll.value,
        outcome.disk.value if outcome.state_writable else f"{outcome.disk.value} (`state_writable` 0)",
        outcome.remedy or "-",
        outcome.recovery.value if outcome.reason or not outcome.state_writable else "-",
    )


def _counted(outcome: Outcome) -> str:
    counters = [f"`{outcome.reason}`"] if outcome.reason else []
    counters += [f"{count} row{'s' if count > 1 else ''} `{reason}`" for reason, count in outcome.dropped.items()]
    counters += [f"auth `{outcome.auth_error}`"] if outcome.auth_error else []
    return ", ".join(counters) or "-"


def _auth_up(outcome: Outcome) -> str:
    judged = outcome.auth_up == 0 or outcome.codes
    return str(outcome.auth_up) if judged else "as before"


def _requests(outcome: Outcome) -> str:
    made = [f"`{code}`" + (f" {count} times" if count > 1 else "") for code, count in outcome.codes.items()]
    if not made:
        return f"sign-in, {outcome.retries + 1} times" if outcome.retries else "sign-in"
    renewed = outcome.token_requests > 1
    return ", then ".join(made) + (", with a renewed token" if renewed else "")
