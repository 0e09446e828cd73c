"""What `check` found, as one JSON document, whatever the end; README.md shows one."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from exporter.arguments import ExitStatus
from exporter.commands.all_apis import Tried, advice
from exporter.config import Config, PartnerConfig
from exporter.errors import ConfigurationError, ExporterError, PollError, Problem, StateError
from exporter.messages import class_name
from exporter.metrics.targets import Target
from exporter.model.rows import Answer
from exporter.model.status import SignInStatus
from exporter.polling.plan import PollPlan


class JsonReport:
    """Collects the results, and prints them when it is left, an exception included."""

    def __init__(self, file: Path, web_file: Path | None) -> None:
        del web_file  # its errors name it
        self._file = str(file)
        self._status = ExitStatus.FAILED
        self._errors: list[dict[str, Any]] = []
        self._warnings: list[dict[str, Any]] = []
        self._partners: dict[str, dict[str, Any]] = {}
        self._newest: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _where: TracebackType | None
    ) -> None:
        """Print the document; what was raised goes on its way, and is among the errors."""
        if error is not None:
            self._status = ExitStatus.USAGE_ERROR if isinstance(error, ConfigurationError) else ExitStatus.FAILED
            self._errors += _errors(error)
        document = {
            "file": self._file,
            "status": int(self._status),
            "errors": self._errors,
            "warnings": self._warnings,
            "partners": list(self._partners.values()),
        }
        # Not every reader of JSON takes a lone surrogate, which a file name may contain.
        text = json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8", "replace").decode()
        print(json.dumps(json.loads(text), indent=2))

    def configured(self, config: Config, partners: Sequence[PartnerConfig]) -> None:
        """Add all partners and sources, which are skipped as long as nothing else is known."""
        self._warnings += [_place(self._file, warning) for warning in config.warnings]
        for partner in partners:
            identity = partner.registration.identity
            sources = [
                {"source": each.source.endpoint.row.SOURCE, "api": each.source.api, "status": "skipped"}
                for each in partner.sources
            ]
            self._partners[partner.name] = {
                "name": partner.name,
                "cloud": identity.cloud,
                "tenant_id": identity.tenant_id,
                "client_id": identity.client_id,
                "sign_in": {"status": "skipped"},
                "sources": sources,
            }

    def partner(self, partner: PartnerConfig) -> None:
        """Begin with a partner."""
        self._newest = self._partners[partner.name]

    def signed_in(self, status: SignInStatus) -> None:
        """Add as whom, and until when."""
        self._newest["sign_in"] = {
            "status": "ok",
            "account": status.account,
            "refresh_token_expires": _time(status.token_expires_at),
            "credential_expires": _time(status.credential_expires_at),
        }

    def mfa(self, status: SignInStatus) -> None:
        """Add whether Partner Center takes the sign-in for one with MFA; None where it hasn't said so."""
        self._newest["sign_in"]["mfa_compliant"] = status.mfa_compliant

    def tried(self, plan: PollPlan, tried: Sequence[Tried], *, now: float) -> None:
        """Add which APIs answer for a source, and what to configure."""
        apis = [
            {"api": one.source.api, "path": one.path or None, "configured": one.is_used, **_outcome(one.outcome)}
            for one in tried
        ]
        used = next(one for one in tried if one.is_used)
        self._add(plan, _outcome(used.outcome) | {"apis": apis, "advice": advice(tried, now)})

    def not_signed_in(self, error: PollError) -> None:
        """Add why nothing can be polled."""
        self._newest["sign_in"] = _failure(error)

    def not_saved(self, error: StateError) -> None:
        """Add why the renewed token could not be saved."""
        self._errors += _errors(error)

    def polled(self, plan: PollPlan, answer: Answer, targets: Sequence[Target]) -> None:
        """Add what a source gave."""
        del targets
        self._add(plan, _outcome(answer))

    def not_polled(self, plan: PollPlan, error: PollError) -> None:
        """Add why a source gave nothing."""
        self._add(plan, _outcome(error))

    def warn(self, text: str) -> None:
        """Add what needs a look."""
        self._warnings.append({"file": None, "line": None, "path": None, "message": text})

    def ended(self, status: ExitStatus) -> None:
        """Note how the command ends."""
        self._status = status

    def _add(self, plan: PollPlan, result: dict[str, Any]) -> None:
        for source in self._newest["sources"]:
            if source["source"] == plan.source:
                source.update(result)


def _errors(error: BaseException) -> list[dict[str, Any]]:
    if isinstance(error, ConfigurationError):
        return [_place(file, problem) for file, problem in error.located]
    nowhere = {"file": None, "line": None, "path": None}
    if isinstance(error, ExporterError):
        return [nowhere | {"message": error.message, "remedy": error.remedy or None}]
    message = "interrupted" if isinstance(error, KeyboardInterrupt) else f"internal error: {class_name(error)}"
    return [nowhere | {"message": message, "remedy": None}]


def _place(file: str, problem: Problem) -> dict[str, Any]:
    return {"file": file, "line": problem.line or None, "path": problem.path or None, "message": problem.message}


def _outcome(outcome: Answer | PollError) -> dict[str, Any]:
    if isinstance(outcome, PollError):
        return _failure(outcome)
    dates = [row.processed_at for row in outcome.rows if row.processed_at is not None]
    return {
        "status": "ok",
        "rows": outcome.usable,
        "dropped": {str(reason): count for reason, count in outcome.dropped.items() if count},
        "newest_processed": _time(max(dates, default=None)),
        "notes": list(outcome.notes),
    }


def _failure(error: PollError) -> dict[str, Any]:
    return {
        "status": "failed",
        "reason": error.reason,
        "message": error.message,
        "remedy": error.remedy or None,
        "correlation_id": error.exchange.correlation_id or None,
        "request_id": error.exchange.request_id or None,
    }


def _time(timestamp: float | None) -> str | None:
    """Return a Unix time as ISO 8601, or None where it isn't known or out of range."""
    if timestamp is None:
        return None
    try:
        return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return None
