"""How far a pipeline has come: the outcome of each step, and the metrics that conditions need, read once."""

from __future__ import annotations

from dataclasses import dataclass, field

from ftsdk.studies.document import StepDocument, StudyRecord
from ftsdk.studies.pipelines.expressions import Condition, measure_of
from ftsdk.studies.pipelines.late import metrics_of
from ftsdk.studies.pipelines.readiness import Outcome, Readiness, Values, readiness


@dataclass(slots=True)
class PipelineProgress:
    """The outcomes of the steps so far; whoever looks at the steps in their order enters them."""

    record: StudyRecord
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    _values: dict[str, Values] = field(default_factory=dict)

    def readiness(self, step: StepDocument) -> Readiness:
        """Whether a step may start; the outcomes of the steps before it are entered."""
        if any(self.outcomes[name] == "open" for name in step["needs"]):
            return readiness(step, self.outcomes, {})
        return readiness(step, self.outcomes, self.values(step))

    def values(self, step: StepDocument) -> Values:
        """Metrics of the steps that its condition and its choice name, as far as they have succeeded."""
        if step["name"] not in self._values:
            measures = [*(Condition(step["condition"]).measures if step["condition"] else ())]
            measures += [measure_of(step["best"])] if step["best"] else []
            names = {name for measure in measures for name in step["inputs"][measure.step]}
            done = sorted(name for name in names if self.outcomes[name] == "succeeded")
            self._values[step["name"]] = {name: metrics_of(self.record, name) for name in done}
        return self._values[step["name"]]
