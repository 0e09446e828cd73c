"""What travels between the rooms: rows of licence data, their values, and the states that people look at."""

from exporter.model.rows import (
    Answer,
    Api,
    DeploymentRow,
    Dimension,
    DropReason,
    Row,
    SourceName,
    UsageRow,
    has_value,
    row_type,
)
from exporter.model.status import Failure, Identity, PollStatus, Shown, SignInStatus
from exporter.model.totals import Breakdown, Labels, Names, Sums, Total, drain, keep_smallest
from exporter.model.values import ImpossibleValueError, label, quantity, timestamp

__all__ = [
    "Answer",
    "Api",
    "Breakdown",
    "DeploymentRow",
    "Dimension",
    "DropReason",
    "Failure",
    "Identity",
    "ImpossibleValueError",
    "Labels",
    "Names",
    "PollStatus",
    "Row",
    "Shown",
    "SignInStatus",
    "SourceName",
    "Sums",
    "Total",
    "UsageRow",
    "drain",
    "has_value",
    "keep_smallest",
    "label",
    "quantity",
    "row_type",
    "timestamp",
]
