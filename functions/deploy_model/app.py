"""Import a trained model into Bedrock, one run at a time, or put it on an endpoint; delete what no alias needs."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import RunStatusChanged
from tunedrop.domain.decide import Effect
from tunedrop.observability import logger
from tunedrop.steps.base_endpoint import BringBaseUp, NameBase, TakeBaseDown
from tunedrop.steps.champions import FormerChampions, MakeRoom, unwanted
from tunedrop.steps.deploy import DeleteImport, StartImport, take_import_slot
from tunedrop.steps.endpoint import BringUp, NameEndpoint, TakeDown

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Deploy or retire the model of the run that the event names."""
    run_id = parse(event=event, model=RunStatusChanged).detail.run_id
    stack = application.settings.stack
    former = FormerChampions(application.runs, application.imports, application.clock, stack)
    start = StartImport(application.imports, application.files, former, stack)
    run = application.advance(
        run_id,
        {
            Effect.MAKE_ROOM: MakeRoom(former),
            Effect.TAKE_IMPORT_SLOT: take_import_slot,
            Effect.START_IMPORT: start,
            Effect.RETIRE: unwanted,
            Effect.DELETE_IMPORT: DeleteImport(application.imports),
            Effect.NAME_ENDPOINT: NameEndpoint(stack),
            Effect.BRING_UP: BringUp(
                application.endpoints, application.files, stack, application.settings.hosting_role_arn
            ),
            Effect.TAKE_DOWN: TakeDown(application.endpoints),
            Effect.NAME_BASE: NameBase(stack),
            Effect.BRING_BASE_UP: BringBaseUp(application.endpoints, stack, application.settings.hosting_role_arn),
            Effect.TAKE_BASE_DOWN: TakeBaseDown(application.endpoints),
        },
    )
    for each in (run.deployment, run.base) if run else ():
        if each and each.left:
            logger.error("The model is left, though nobody wants it", extra={"because": each.left})
