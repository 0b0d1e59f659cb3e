"""The tools: plan, submit, follow, diagnose, evaluate."""

from collections.abc import Callable
from typing import Annotated, Any, TypedDict, TypeVar

from mcp.server import MCPServer
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver.context import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from ftsdk.cli.agents.limits import Limits, cost_usd
from ftsdk.contract.release import __version__
from ftsdk.errors import FtsdkError
from ftsdk.estimator import Estimator
from ftsdk.jobs.job import Job
from ftsdk.plan import Plan
from ftsdk.recipes import specfile
from ftsdk.reports.contents import last_lines
from ftsdk.reports.diagnosis.diagnose import diagnose

INSTRUCTIONS = """\
ftsdk plans, runs and follows fine-tunings of language models. Call plan before submit: it shows memory, time, price and
every problem, and creates nothing. Submitting asks the person, unless the person has allowed it up to a budget. SPEC is
the path of a YAML file or the name of a recipe; a job is a URI such as local://NAME."""
LAST_LINES = 40
READS = ToolAnnotations(readOnlyHint=True)
ACTS = ToolAnnotations(readOnlyHint=False, destructiveHint=False, idempotentHint=True)


class Confirmation(BaseModel):
    """A person's answer."""

    start: bool = Field(description="Start it?")


MaybeConfirmed = Confirmation | Elicit[Confirmation]
"""A yes by the limits, or the question to a person."""


class Planned(TypedDict):
    """What a submit would do."""

    job: str
    backend: str
    warnings: list[str]
    fits: str
    memory_gib: float | None
    hours: float | None
    usd_per_hour: float | None
    most_cost_usd: float | None
    unknown: list[str]


Result = TypeVar("Result")
ToolContext = Context[Any, Any]
Changes = Annotated[list[str], Field(default_factory=list, description="KEY=VALUE, such as learning_rate=1e-4")]


def server(limits: Limits) -> MCPServer[Any]:
    """The server with its tools; what they start counts against `limits`."""
    made: MCPServer[Any] = MCPServer("ftsdk", version=__version__, instructions=INSTRUCTIONS, log_level="ERROR")

    @made.tool(annotations=READS)
    def plan(spec: str, changes: Changes, backend: str = "local") -> Planned:
        """Show what submit would do with a spec: job, memory, time, price, warnings. Creates nothing."""
        return _planned(_checked(_estimator(spec, backend, changes)))

    def confirmed(spec: str, changes: Changes, ctx: ToolContext, backend: str = "local") -> MaybeConfirmed:
        made = _checked(_estimator(spec, backend, changes))
        if limits.allows(made):
            return Confirmation(start=True)
        return _elicited(ctx, f"Start {made.uri} on {backend}, {_costs(made)}?", f"ftsdk submit {spec} -b {backend}")

    @made.tool(annotations=ACTS)
    def submit(
        spec: str,
        changes: Changes,
        answer: Annotated[ElicitationResult[Confirmation], Resolve(confirmed)],
        backend: str = "local",
    ) -> dict[str, str]:
        """Start a training, after a person has agreed or within the budget that a person has set; returns its URI."""
        _refuse_without_yes(answer)
        estimator = _estimator(spec, backend, changes)
        limits.use(_checked(estimator))
        job = _told(lambda: estimator.fit(wait=False, on_warning=lambda sentence: None))
        return {"job": job.uri}

    @made.tool(annotations=READS)
    def follow(job: str) -> dict[str, object]:
        """How a job is doing now: state, newest metrics, time and cost to the end, last lines of its log."""
        attached = _told(lambda: Job.attach(job))
        return {**attached.status().to_json(), "last_lines": last_lines(attached, LAST_LINES)}

    @made.tool(name="diagnose", annotations=READS)
    def diagnose_job(job: str) -> list[dict[str, object]]:
        """What went wrong with a job, why, how sure that is, and what to do; empty if nothing looks wrong."""
        return _told(lambda: [finding.to_json() for finding in diagnose(Job.attach(job))])

    def evaluation_confirmed(job: str, dataset: str, ctx: ToolContext, backend: str = "local") -> MaybeConfirmed:
        if backend in limits.backends and backend in ("local", "docker"):
            return Confirmation(start=True)
        question = f"Evaluate {job} on {dataset}, as a job on {backend}?"
        return _elicited(ctx, question, f"ftsdk evaluate {job} --dataset {dataset} -b {backend}")

    @made.tool(annotations=ACTS)
    def evaluate(
        job: str,
        dataset: str,
        answer: Annotated[ElicitationResult[Confirmation], Resolve(evaluation_confirmed)],
        backend: str = "local",
        against: str | None = None,
    ) -> dict[str, object]:
        """Measure a finished job's model on held-out rows, beside `against` (`base` or a model); waits for it."""
        _refuse_without_yes(answer)
        made = _told(lambda: Job.attach(job).model().evaluate(dataset, against=against, backend=backend))
        return made.to_json()

    return made


def _elicited(ctx: ToolContext, question: str, command: str) -> Elicit[Confirmation]:
    """The question to a person. Raises ToolError where the client cannot ask one."""
    able = ctx.client_capabilities
    if able is None or able.elicitation is None:
        raise ToolError(
            f"This needs a person's confirmation, and this client cannot ask for one: let the person run "
            f"`{command}`, or start `ftsdk mcp` with --backend and --max-cost-usd."
        )
    return Elicit(question, Confirmation)


def _refuse_without_yes(answer: ElicitationResult[Confirmation]) -> None:
    if not isinstance(answer, AcceptedElicitation) or not answer.data.start:
        raise ToolError("The person did not agree, so nothing was started.")


def _estimator(spec: str, backend: str, changes: list[str]) -> Estimator:
    loaded = _told(lambda: specfile.load(spec, changes=changes))
    return _told(lambda: Estimator(loaded.spec, backend=backend, folder=loaded.folder))


def _checked(estimator: Estimator) -> Plan:
    """The plan of what can be submitted. Raises ToolError with what is wrong."""
    facts = _told(estimator.inspect)
    made = _told(lambda: estimator.plan(facts))
    _told(lambda: estimator.check(facts, made))
    return made


def _planned(made: Plan) -> Planned:
    estimate = made.estimate
    return {
        "job": made.uri,
        "backend": made.backend,
        "warnings": [*made.warnings],
        "fits": estimate.fits,
        "memory_gib": estimate.memory.total_gib if estimate.memory else None,
        "hours": estimate.hours,
        "usd_per_hour": made.usd_per_hour,
        "most_cost_usd": cost_usd(made),
        "unknown": [*estimate.unknown],
    }


def _costs(made: Plan) -> str:
    cost = cost_usd(made)
    return "at an unknown cost" if cost is None else f"for at most {cost:.2f} USD by the estimate"


def _told(call: Callable[[], Result]) -> Result:
    """The call's result. Raises ToolError, which the agent reads, for an error of ftsdk."""
    try:
        return call()
    except FtsdkError as problem:
        raise ToolError(str(problem)) from None
