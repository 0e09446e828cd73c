"""What travels between the rooms: rows of licence data, their values, and the states that people look at."""

from exporter.model.rows import Answer, Api, DeploymentRow, Dimension, DropReason, Row, SourceName, UsageRow
from exporter.model.status import Failure, Identity, PollStatus, Shown, SignInStatus
from exporter.model.values import ImpossibleValueError, label, quantity, timestamp

__all__ = [
    "Answer",
    "Api",
    "DeploymentRow",
    "Dimension",
    "DropReason",
    "Failure",
    "Identity",
    "ImpossibleValueError",
    "PollStatus",
    "Row",
    "Shown",
    "SignInStatus",
    "SourceName",
    "UsageRow",
    "label",
    "quantity",
    "timestamp",
]
