"""What the report says: every customer's licences now and some time ago, in total and in lists of the most telling."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from exporter.errors import ExporterError
from exporter.local_text import local_text
from exporter.messages import joined, line
from exporter.metrics.catalogue import CUSTOMER_TARGET, USAGE_TARGET, broken_down
from exporter.model.rows import SourceName
from exporter.model.totals import Total
from exporter.report import queries
from exporter.report.prometheus import Prometheus

Key = tuple[str, str]
"""A partner, and a customer's id."""

_HOUR, _DAY = 3_600.0, 86_400.0
# Where the exporter was down just then, what it showed before is as good: the data changes once a day.
_BACK_FROM_NOW = (0.0, 900.0, _HOUR, 6 * _HOUR, _DAY)
_BACK_FROM_THEN = (0.0, _HOUR, 6 * _HOUR, _DAY, 2 * _DAY)
_BANDS = 5
_DETAIL = line(
    "set `api: commercial` and `detail: [customer]` for the source usage, deployment or both in the exporter's "
    "configuration; the first report can be made after its next poll"
)
_NO_DATA = line(
    "check that this Prometheus scrapes the exporter (job partnercenter-exporter on its page Status > Targets), and "
    "that --prometheus is its address"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for: one partner or all, the length of the lists, and how many seconds ago to compare with."""

    partner: str | None
    top: int
    compare_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The licences of one customer, of a partner's customers together (no `customer_id`), or of all (no `partner`).

    `before` is None where nothing is known of that time. `short` is how many licences are missing to the targets.
    """

    partner: str = ""
    customer_id: str = ""
    name: str = ""
    customers: int = 1
    now: Total
    before: Total | None = None
    short: float | None = None
    note: str = ""

    @property
    def label(self) -> str:
        """What the row is called."""
        return self.name or self.partner or "All partners"

    @property
    def idle(self) -> float | None:
        """How many licences are not in use."""
        return idle(self.now)

    @property
    def change(self) -> float | None:
        """How many more licences are in use than before."""
        return _difference(self.now.part, self.before.part if self.before else None)

    @property
    def points(self) -> float | None:
        """By how much the ratio has grown, 0 to 1."""
        return _difference(self.now.ratio, self.before.ratio if self.before else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One list of the report; `name` is what the CSV calls it. `left_out` is how many more rows there would be."""

    name: str
    title: str
    note: str
    source: SourceName
    rows: tuple[Row, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole report; times are Unix seconds. `bands` counts customers by fifths of the ratio.

    `below_target` is None where there are no targets. `missing` are partners that were there before, and are not now.
    """

    made_at: float
    data_at: float
    compared_at: float | None
    options: Options
    customers: int
    customers_before: int | None
    below_target: int | None
    missing: tuple[str, ...]
    bands: tuple[tuple[str, int], ...]
    totals: tuple[Table, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class _Moment:
    """All customers at one time: names by partner and id, and counts by source."""

    at: float
    partners: frozenset[str]
    names: Mapping[Key, str]
    counts: Mapping[SourceName, Mapping[Key, Total]]


def idle(total: Total) -> float | None:
    """Return how many licences of the whole are not in use."""
    return _difference(total.whole, total.part)


def collect(prometheus: Prometheus, options: Options) -> Report:
    """Ask Prometheus for everything; raises ExporterError where it refuses, or lacks the data."""
    [(_, now)] = prometheus.query("vector(time())")
    data_at = _time_with_customers(prometheus, options.partner, now, _BACK_FROM_NOW)
    if data_at is None:
        raise _no_customers(prometheus, options.partner, now)
    then = now - options.compare_seconds
    compared_at = _time_with_customers(prometheus, options.partner, then, _BACK_FROM_THEN)
    current = _moment(prometheus, options.partner, data_at)
    before = None if compared_at is None else _moment(prometheus, options.partner, compared_at)
    # A target is for usage: without usage by customer, nobody is below one.
    short = _short(prometheus, options.partner, data_at) if current.counts[SourceName.USAGE] else None
    return _Figures(options, current, before, short).report(made_at=now)


def _time_with_customers(prometheus: Prometheus, partner: str | None, at: float, back: Iterable[float]) -> float | None:
    """Return the newest of these times at which there are customers."""
    query = queries.partners_with_customers(partner)
    return next((at - seconds for seconds in back if prometheus.query(query, at=at - seconds)), None)


def _no_customers(prometheus: Prometheus, partner: str | None, now: float) -> ExporterError:
    """Return why there is nothing to report."""
    found: set[str] = set()
    for seconds in _BACK_FROM_NOW:
        found |= {labels.get("partner", "") for labels, _ in prometheus.query(queries.partners(), at=now - seconds)}
    known = joined([prometheus.redactor.quote(name) for name in sorted(found)], ", ")
    if not found:
        return ExporterError(
            line("Prometheus has no data of partnercenter-exporter from the last day"), remedy=_NO_DATA
        )
    if partner is None:
        return ExporterError(line("there are no customers in the data (partners: {})", known), remedy=_DETAIL)
    name = local_text(partner)
    if partner not in found:
        return ExporterError(line("there is no data of a partner {}", name), remedy=line("choose from {}", known))
    return ExporterError(line("there are no customers in the data of {}", name), remedy=_DETAIL)


def _moment(prometheus: Prometheus, partner: str | None, at: float) -> _Moment:
    names = {
        _key(labels): labels.get("customer_name", "") for labels, _ in prometheus.query(queries.names(partner), at=at)
    }
    counts: dict[SourceName, dict[Key, Total]] = {}
    for source in SourceName:
        totals: dict[Key, Total] = {}
        part, whole = (prometheus.query(queries.by_customer(metric, partner), at=at) for metric in broken_down(source))
        for labels, value in part:
            totals.setdefault(_key(labels), Total()).part = value
        for labels, value in whole:
            totals.setdefault(_key(labels), Total()).whole = value
        counts[source] = totals
    found = chain(names, *counts.values())
    return _Moment(at, frozenset(name for name, _ in found), names, counts)


def _short(prometheus: Prometheus, partner: str | None, at: float) -> Mapping[Key, float] | None:
    """Return the customers below a target, and by how many licences; None without targets."""
    common, own = (prometheus.query(queries.targets(m, partner), at=at) for m in (USAGE_TARGET, CUSTOMER_TARGET))
    if not common and not own:
        return None
    query = queries.short_of_target(partner, of_customers=bool(own))
    return {_key(labels): value for labels, value in prometheus.query(query, at=at)}


def _key(labels: Mapping[str, str]) -> Key:
    return labels.get("partner", ""), labels.get("customer_id", "")


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


@dataclass(frozen=True, slots=True)
class _Figures:
    """The customers at two times, as rows and lists."""

    options: Options
    now: _Moment
    before: _Moment | None
    short: Mapping[Key, float] | None

    def report(self, *, made_at: float) -> Report:
        """Return the report."""
        rows = {source: list(self._rows(source)) for source in SourceName}
        counted = [source for source in SourceName if rows[source]]
        # Whoever has no usage by customer is told of deployment what the report would say of usage.
        main = counted[0] if counted else SourceName.USAGE
        tables = [*self._lists(main, rows[main]), *(self._idle(source, rows[source]) for source in counted)]
        return Report(
            made_at=made_at,
            data_at=self.now.at,
            compared_at=self.before.at if self.before else None,
            options=self.options,
            customers=len(_customers(self.now)),
            customers_before=len(_customers(self.before)) if self.before else None,
            below_target=None if self.short is None else len(self.short),
            missing=tuple(sorted(self.before.partners - self.now.partners)) if self.before else (),
            bands=_bands(rows[main]),
            totals=tuple(self._totals(source, rows[source]) for source in counted),
            tables=tuple(tables),
        )

    def _rows(self, source: SourceName) -> Iterator[Row]:
        """Yield every customer that has licences now or had before."""
        now = self.now.counts[source]
        before = self.before.counts[source] if self.before else {}
        for key in {**now, **before}:
            partner, customer_id = key
            found, earlier = now.get(key), before.get(key)
            note = "" if found else "gone"
            if found and earlier is None and self.before and partner in self.before.partners:
                note, earlier = "new", Total(0.0, 0.0)
            if found is None and partner not in self.now.partners:
                continue  # its exporter is down, and its customers are still there
            yield Row(
                partner=partner,
                customer_id=customer_id,
                name=self._name(key),
                now=found or Total(0.0, 0.0),
                before=earlier,
                short=None if self.short is None else self.short.get(key, 0.0),
                note=note,
            )

    def _name(self, key: Key) -> str:
        return self.now.names.get(key) or (self.before.names.get(key) if self.before else None) or key[1]

    def _totals(self, source: SourceName, rows: Sequence[Row]) -> Table:
        partners = sorted({row.partner for row in rows})
        parts = [_sum(partner, [row for row in rows if row.partner == partner]) for partner in partners]
        whole = [_sum("", rows)] if len(partners) > 1 else []
        return Table(
            name="total", title=f"{source.capitalize()} in total", note="", source=source, rows=(*parts, *whole)
        )

    def _lists(self, source: SourceName, rows: Sequence[Row]) -> Iterator[Table]:
        if source is SourceName.USAGE and self.short is not None:
            yield self._list(
                "below target",
                "Customers below their target",
                "At least one workload is below the target in the exporter's configuration. Sorted by how many more "
                "licences would have to be in use.",
                source,
                _largest(rows, lambda row: row.short),
            )
        with_ratio = [row for row in rows if row.now.ratio is not None]
        yield self._list(
            "lowest",
            f"Lowest {source}",
            "The smallest share of their licences, and of equal shares the most idle licences first.",
            source,
            sorted(with_ratio, key=lambda row: (row.now.ratio or 0.0, -(row.idle or 0.0), row.name, row.customer_id)),
        )
        if self.before:
            up, down = (_largest(rows, change) for change in (lambda row: row.change, lambda row: -(row.change or 0.0)))
            note = "Sorted by how many licences came into use or went out of it."
            yield self._list("up", "Movers up", note, source, up)
            yield self._list("down", "Movers down", note, source, down)

    def _idle(self, source: SourceName, rows: Sequence[Row]) -> Table:
        what = "qualified but not in use" if source is SourceName.USAGE else "sold but not deployed"
        note = f"Licences that are {what}, the most first."
        return self._list(
            f"idle {source}", f"Idle licences: {what}", note, source, _largest(rows, lambda row: row.idle)
        )

    def _list(self, name: str, title: str, note: str, source: SourceName, rows: Sequence[Row]) -> Table:
        top = self.options.top
        return Table(
            name=name, title=title, note=note, source=source, rows=tuple(rows[:top]), left_out=max(len(rows) - top, 0)
        )


def _customers(moment: _Moment) -> frozenset[Key]:
    return frozenset(chain(*moment.counts.values())) or frozenset(moment.names)


def _largest(rows: Sequence[Row], value: Callable[[Row], float | None]) -> list[Row]:
    """Return the rows with a value above 0, the largest first."""
    found = [(size, row) for row in rows if (size := value(row)) is not None and size > 0]
    return [row for _, row in sorted(found, key=lambda pair: (-pair[0], pair[1].name, pair[1].customer_id))]


def _sum(partner: str, rows: Sequence[Row]) -> Row:
    """Return the rows added up; what went before is known if it is of some row."""
    now, before, known = Total(), Total(), False
    for row in rows:
        now.add(row.now.part, row.now.whole, None)
        if row.before is not None:
            known = True
            before.add(row.before.part, row.before.whole, None)
    shorts = [row.short for row in rows if row.short is not None]
    return Row(
        partner=partner,
        customers=sum(row.note != "gone" for row in rows),
        now=now,
        before=before if known else None,
        short=sum(shorts) if shorts else None,
    )


def _bands(rows: Sequence[Row]) -> tuple[tuple[str, int], ...]:
    """Return how many customers are in each fifth of the ratio, the last one with all above."""
    counts = [0] * _BANDS
    for row in rows:
        if row.now.ratio is not None:
            counts[min(int(row.now.ratio * _BANDS), _BANDS - 1)] += 1
    width = 100 // _BANDS
    return tuple((f"{n * width} to {(n + 1) * width} %", count) for n, count in enumerate(counts))
