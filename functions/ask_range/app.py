"""Ask one range of a large set of held-out rows, as the evaluation's workflow asks."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.observability import follow
from tunedrop.steps.ask_rows import AskRows, RangeToAsk

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], context: LambdaContext) -> bool:
    """Ask the range; returns whether all of it is answered, or is to go on in another invocation."""
    part = parse(event=event, model=RangeToAsk)
    follow(part.run_id)
    ask = AskRows(
        application.conversation,
        application.files,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    return ask.ordered(part)
