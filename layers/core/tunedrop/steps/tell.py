"""Tell people where a run stands, once."""

from dataclasses import dataclass

from tunedrop.domain import names
from tunedrop.domain.notice import notice
from tunedrop.domain.observations import Looked, NoticeClaimed, NoticeSent, Observation
from tunedrop.domain.run import Run
from tunedrop.ports import Clock, Notifier, RunFiles

LINK_SECONDS = 12 * 3600
"""How long a notice's link is good at most: it ends with the credentials of the function that signed it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
"""


@dataclass(frozen=True)
class ClaimNotice:
    """Claim the notice for this invocation, before anything is sent."""

    token: str

    def __call__(self, _run: Run) -> Observation:
        """Ask for the notice; the commit that follows decides who has it."""
        return NoticeClaimed(token=self.token)


@dataclass(frozen=True)
class SendNotice:
    """Publish the notice that this invocation has claimed."""

    notifier: Notifier
    files: RunFiles
    clock: Clock
    region: str
    token: str

    def __call__(self, run: Run) -> Observation:
        """Send the notice of the run's status, unless another invocation is at it."""
        if run.notices[run.status].claimed_by != self.token:
            return Looked()
        key = names.run_page_key(run.run_id)
        page = self.files.uri(key)
        links = self.files.link(key, LINK_SECONDS), names.console_url(self.region, page), page
        text = notice(run, self.clock.now(), links)
        message_id = self.notifier.publish(text.subject, text.body, text.attributes)
        return NoticeSent(status=run.status, message_id=message_id)
