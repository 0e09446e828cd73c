"""How a partner at work is replaced by another: first whatever may fail, then what can't."""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from exporter.builder import Builder, Partner
from exporter.config import PartnerConfig
from exporter.model.rows import SourceName
from exporter.polling.poller import Poller
from exporter.polling.state import Remembered


@dataclass(frozen=True, slots=True)
class Successor:
    """A new partner, ready to take over.

    `resumed` are the pollers that it goes on from, and `saved` is what an earlier run left of its other sources.
    """

    partner: Partner
    predecessor: Partner | None
    resumed: Mapping[SourceName, Poller]
    saved: Mapping[SourceName, Remembered]

    def take_over(self, builder: Builder) -> None:
        """Resume from the predecessor, which ends, or else from what an earlier run saved. Waits for nothing."""
        if self.predecessor:
            retire(self.predecessor, builder, resumed=self.resumed.keys())
            self.partner.authenticator.inherit(self.predecessor.authenticator)
        has_token = self.partner.authenticator.tokens.current is not None
        for poller in self.partner.pollers:
            source = poller.plan.source
            builder.metrics.begin(poller.plan.partner, source)
            resumed = self.resumed.get(source)
            poller.restore(resumed.remembered() if resumed else self.saved[source], has_token=has_token)


def prepare(builder: Builder, config: PartnerConfig, predecessor: Partner | None, undo: ExitStack) -> Successor:
    """Build a partner, read its files, and create its threads, which wait; `undo` ends them. May raise anything."""
    partner = builder.partner(config)
    undo.callback(partner.stop)
    same = predecessor and predecessor.config.registration.identity == config.registration.identity
    old = {poller.plan.source: poller for poller in predecessor.pollers} if predecessor and same else {}
    new = {poller.plan.source: poller for poller in partner.pollers}
    if not same:
        partner.authenticator.restore()
    saved = {source: poller.state.load(now=builder.clock.time()) for source, poller in new.items() if source not in old}
    for poller in partner.pollers:
        poller.prepare()
    return Successor(partner, predecessor, {source: old[source] for source in new if source in old}, saved)


def retire(partner: Partner, builder: Builder, *, resumed: Collection[SourceName] = ()) -> None:
    """Stop a partner's polls; data and counters stay for the sources that a successor has resumed."""
    partner.stop()
    for poller in partner.pollers:
        source = poller.plan.source
        if source not in resumed:
            builder.snapshots.withdraw(partner.config.name, source)
            builder.metrics.forget(partner.config.name, source)
