"""Have a model on Bedrock grade the answers, and take in its grades. Whatever becomes of that, the run goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from tunedrop.domain import names
from tunedrop.domain.observations import JudgeBusy, JudgeCalled, Judged, JudgeSilent, Observation
from tunedrop.domain.plan import JudgePlan
from tunedrop.domain.run import JudgeJob, Judgement, Run
from tunedrop.errors import RequestRefusedError, TransientError, UnavailableError
from tunedrop.evaluation.judged import UnreadableGradesError, judge_line, judge_scores, judged_rows, read_grades
from tunedrop.evaluation.rows import CANDIDATE, HeldOut, HeldOutRow, StoredAnswer
from tunedrop.ports import JudgeJobs, JudgeRequest, RunFiles

LOOK_AGAIN = timedelta(minutes=5)
"""When a run looks at its judge again: Bedrock sends no event of evaluation jobs."""

MESSAGE_LIMIT = 500
"""Characters of Bedrock's own words that the record keeps."""


@dataclass(frozen=True)
class CallJudge:
    """Hand the candidate's answers, and those of what it replaces, to one evaluation job each."""

    judges: JudgeJobs
    files: RunFiles
    stack: str

    def __call__(self, run: Run) -> Observation:
        """Start the jobs, or find them started: names and answers are the same whenever this is done again."""
        plan, judgement = _judge_of(run)
        held_out = HeldOut.of(_read(self.files, names.held_out_key(run.run_id)))
        rows = _judged_of(run, held_out)
        rival = _rival(run)
        jobs: list[JudgeJob] = []
        try:
            for side in (CANDIDATE, *((rival,) if rival else ())):
                name = names.judge_job(self.stack, run.run_id, side, judgement.attempt)
                answers_key = names.judge_dataset_key(run.run_id, name)
                self.files.write(answers_key, self._answers(run, side, rows))
                wanted = JudgeRequest(
                    name=name,
                    run_id=run.run_id,
                    side=side,
                    answers_uri=self.files.uri(answers_key),
                    output_uri=self.files.uri(names.judge_output_prefix(run.run_id, name)),
                    evaluator_model=plan.evaluator_model,
                    metrics=plan.metrics,
                )
                jobs.append(JudgeJob(side=side, name=name, arn=self.judges.start(wanted)))
        except (TransientError, UnavailableError) as error:
            return JudgeBusy(reason=f"Bedrock cannot start the judge's job now: {_cut(error)}", retry_after=LOOK_AGAIN)
        except RequestRefusedError as error:
            return JudgeSilent(reason=f"Bedrock refused the judge's job: {_cut(error)}")
        return JudgeCalled(jobs=tuple(jobs), rival=rival, rows=len(rows), of_rows=len(held_out))

    def _answers(self, run: Run, side: str, rows: Mapping[int, HeldOutRow]) -> bytes:
        lines = (line for line in _read(self.files, names.answers_key(run.run_id)).split(b"\n") if line)
        given = (StoredAnswer.model_validate_json(line) for line in lines)
        return b"".join(judge_line(rows[each.row], each) for each in given if each.side == side and each.row in rows)


@dataclass(frozen=True)
class HearJudge:
    """Look at the evaluation jobs, and read what they came to."""

    judges: JudgeJobs
    files: RunFiles

    def __call__(self, run: Run) -> Observation:
        """Read the grades once every job has ended well; one that has not leaves the run without a judgement."""
        _, judgement = _judge_of(run)
        try:
            states = [self.judges.state(job.arn) for job in judgement.jobs]
        except TransientError as error:
            return JudgeBusy(reason=f"Bedrock does not say how the judge stands: {_cut(error)}", retry_after=LOOK_AGAIN)
        for job, state in zip(judgement.jobs, states, strict=True):
            if state is None:
                return JudgeSilent(reason=f"Bedrock does not know the evaluation job {job.name} that it accepted.")
            if state.status not in {"InProgress", "Completed"}:
                why = f": {_cut(state.failure_message)}" if state.failure_message else "."
                return JudgeSilent(reason=f"The evaluation job {job.name} is {state.status}{why}")
        if any(state and state.status == "InProgress" for state in states):
            reason = f"{judgement.evaluator_model} is grading {judgement.rows:,} answers of each model."
            return JudgeBusy(reason=reason, retry_after=LOOK_AGAIN)
        return self._grades(run)

    def _grades(self, run: Run) -> Observation:
        plan, judgement = _judge_of(run)
        held_out = HeldOut.of(_read(self.files, names.held_out_key(run.run_id)))
        documents = [row.source for row in _judged_of(run, held_out).values()]
        try:
            grades = {
                job.side: read_grades(
                    _read(self.files, names.judge_dataset_key(run.run_id, job.name)),
                    self._outputs(run, job),
                    plan.metrics,
                )
                for job in judgement.jobs
            }
        except UnreadableGradesError as error:
            return JudgeSilent(reason=f"The judge's grades cannot be read: {error}.")
        scores = judge_scores(grades[CANDIDATE], grades.get(judgement.rival), documents)
        if not scores:
            return JudgeSilent(reason="The judge gave no grades.")
        return Judged(scores=scores)

    def _outputs(self, run: Run, job: JudgeJob) -> list[bytes]:
        """Find the results: Bedrock puts them into folders with names of its own.

        https://docs.aws.amazon.com/bedrock/latest/userguide/model-evaluation-report-s3.html
        """
        prefix = names.judge_output_prefix(run.run_id, job.name)
        found = sorted(name for name in self.files.sizes(prefix) if name.endswith("_output.jsonl"))
        return [_read(self.files, prefix + name) for name in found]


def _judge_of(run: Run) -> tuple[JudgePlan, Judgement]:
    if run.plan is None or run.plan.evaluation.judge is None or run.judgement is None:
        raise AssertionError(f"run {run.run_id} has no judge")
    return run.plan.evaluation.judge, run.judgement


def _judged_of(run: Run, held_out: HeldOut) -> dict[int, HeldOutRow]:
    chosen = judged_rows(len(held_out), run.plan.evaluation.seed if run.plan else 0)
    return {row: held_out.between(row, row + 1)[0] for row in chosen}


def _rival(run: Run) -> str:
    """Choose whose answers are graded beside the candidate's: the base's, else the champion's, where they answered."""
    evaluation = run.evaluation
    return "" if evaluation is None else "base" if evaluation.base else "champion" if evaluation.champion else ""


def _read(files: RunFiles, key: str) -> bytes:
    data = files.read(key)
    if data is None:
        raise AssertionError(f"{key} is gone, or was never written")
    return data


def _cut(message: object) -> str:
    return str(message)[:MESSAGE_LIMIT]
