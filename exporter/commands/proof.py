"""Whether Partner Center accepts a new sign-in, which is found out before it takes the place of a stored one."""

import threading
import time
from dataclasses import dataclass, replace

from exporter.auth.entra import EntraApplication, TokenGrant
from exporter.auth.refresh_tokens import renewed_record
from exporter.auth.token_store import TokenRecord
from exporter.builder import Builder
from exporter.config import PartnerConfig
from exporter.errors import AuthenticationError, MfaRequired, PollError
from exporter.logs import get_logger
from exporter.messages import for_partner, line
from exporter.partner_center.client import ApiPoll
from exporter.partner_center.error_responses import MFA_REMEDY
from exporter.redaction import Secret


@dataclass(eq=False)
class NewSignIn:
    """The tokens of a sign-in that is not stored yet, always the newest, for a `PartnerCenterClient`."""

    entra: EntraApplication
    record: TokenRecord
    grant: TokenGrant
    mfa_compliant: bool | None = None

    def refresh_if_due(self) -> None:
        """Renew the tokens; raises PollError."""
        self.grant = self.entra.redeem(self.record.secret)
        self.record = renewed_record(self.record, self.grant, now=time.time())

    def access_token(self, *, rejected: Secret | None = None) -> Secret:
        """Return the newest token, a new one in place of the rejected one; raises PollError."""
        if self.grant.access_token == rejected:
            self.refresh_if_due()
        return self.grant.access_token

    def report_api(self, error: PollError | None) -> None:
        """Do nothing: whoever asked gets the error."""

    def report_mfa(self, *, compliant: bool) -> None:
        """Note it."""
        self.mfa_compliant = compliant


def prove(sign_in: NewSignIn, builder: Builder, config: PartnerConfig) -> PollError | None:
    """Renew the sign-in and send one request with it; return what kept that from being a proof, if anything.

    Raises AuthenticationError where Entra ID or the API refuses it. A refused account (403) is no refused sign-in.
    """
    source = config.sources[0].source
    client = replace(builder.partner(config).client, tokens=sign_in)
    log = get_logger(partner=config.name)
    poll = ApiPoll(client, source.endpoint.row.SOURCE, stop=threading.Event(), log=log)
    try:
        poll.sign_in()
        source.probe(poll)
        if sign_in.mfa_compliant is False:
            message = line("Partner Center takes the sign-in for one without MFA (isMfaCompliant: false)")
            raise MfaRequired(message, remedy=for_partner(MFA_REMEDY, config.name), error="mfa_required")
    except AuthenticationError:
        raise
    except PollError as error:
        return error
    return None
