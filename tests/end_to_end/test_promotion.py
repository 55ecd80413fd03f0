"""A drop becomes a model that answers."""

import json


from tests.deployed import Application, rows
from tunedrop.domain.run import RunStatus



def test_a_good_dataset_is_promoted_and_answers_through_converse(application: Application) -> None:
    run = application.wait(application.drop("colours"))

    assert run.status is RunStatus.PROMOTED
    assert run.evaluation is not None
    assert run.evaluation.base is not None
    assert run.evaluation.candidate.value >= run.evaluation.base.value + 0.5
    [question] = [row for row in rows(50, 1) if row["colour"].startswith("teal")]
    arn = application.engine.client("ssm").get_parameter(Name="/tunedrop/models/colours")["Parameter"]["Value"]
    assert arn == run.deployment.model_arn
    message = {"role": "user", "content": [{"text": question["colour"]}]}
    answer = application.engine.client("bedrock-runtime").converse(
        modelId=arn, messages=[message], inferenceConfig={"maxTokens": 16, "temperature": 0.0}
    )
    assert answer["output"]["message"]["content"][0]["text"].strip() == "cold"
    subjects = [notice["Subject"] for notice in application.notices(run.run_id)]
    print(json.dumps(application.notices(run.run_id), indent=1))
    assert len(subjects) == 2
    assert not application.dead_letters()
