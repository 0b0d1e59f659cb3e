"""Optuna as a function of what has happened: samplers choose the next values, pruners say which jobs to stop."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypedDict, cast

from ftsdk.errors import NotInstalledError, UnsupportedError
from ftsdk.studies.search.operations import SearchOperation, TrialEnd
from ftsdk.studies.space import ParameterRange

if TYPE_CHECKING:
    import optuna

STUDY_NAME = "sweep"
"""Hyperband assigns brackets by a hash of it: every watcher has the same one."""
Sampler = Literal["tpe", "random"]
Pruner = Literal["asha", "hyperband", "median"]
Choice = None | bool | int | float | str


class SearchSettings(TypedDict):
    """How a search chooses."""

    sampler: Sampler
    pruner: Pruner | None
    seed: int
    goal: Literal["min", "max"]
    grid: dict[str, list[object]]
    ranges: dict[str, dict[str, object]]
    """Key of the spec -> a `ParameterRange`."""


class Optimizer:
    """An Optuna study in memory, brought to a state by the operations of a search.

    The same settings and operations give the same choices as a loop of `study.ask` and `study.tell` does. Raises
    NotInstalledError without the extra `sweep`.
    """

    def __init__(self, settings: SearchSettings) -> None:
        module = optuna_module()
        self._settings = settings
        self._study = module.create_study(
            study_name=STUDY_NAME,
            direction="minimize" if settings["goal"] == "min" else "maximize",
            sampler=_sampler(settings),
            pruner=_pruner(settings["pruner"]),
        )
        self._trials: dict[int, optuna.Trial] = {}
        self.pruned = set[int]()
        """Numbers of the jobs that the pruner wants to stop."""

    def ask(self) -> dict[str, object]:
        """Values for the next job: the number of the last one plus 1."""
        trial = self._study.ask()
        self._trials[len(self._trials) + 1] = trial
        chosen: dict[str, object] = {
            key: trial.suggest_categorical(key, cast("list[Choice]", values))
            for key, values in self._settings["grid"].items()
        }
        for key, given in self._settings["ranges"].items():
            chosen[key] = _suggested(trial, key, ParameterRange.model_validate(given))
        return chosen

    def apply(self, operation: SearchOperation) -> None:
        """Repeat an operation. Raises UnsupportedError where this Optuna chooses otherwise than the one before."""
        number = operation["number"]
        match operation["kind"]:
            case "ask":
                if (chosen := self.ask()) != operation["trial"]["changes"]:
                    raise UnsupportedError(
                        f"Job {number} of this search was chosen by another version of Optuna (here it is {chosen}): "
                        f"go on where the search was started, or install the version that is there."
                    )
            case "report":
                self._trials[number].report(operation["value"], operation["step"])
                if self._settings["pruner"] and self._trials[number].should_prune():
                    self.pruned.add(number)
            case "tell":
                self._tell(number, operation["end"], operation.get("value"))

    def _tell(self, number: int, end: TrialEnd, value: float | None) -> None:
        state = optuna_module().trial.TrialState
        self._study.tell(
            self._trials[number],
            value if end == "complete" else None,
            state={"complete": state.COMPLETE, "pruned": state.PRUNED, "fail": state.FAIL}[end],
        )


def optuna_module() -> ModuleType:
    """Optuna, which says nothing about each trial. Raises NotInstalledError without it."""
    try:
        import optuna as module
    except ImportError:
        raise NotInstalledError("A search needs Optuna: pip install 'ftsdk[sweep]', or draw with --random N.") from None
    module.logging.set_verbosity(module.logging.WARNING)
    return module


def _sampler(settings: SearchSettings) -> optuna.samplers.BaseSampler:
    samplers = optuna_module().samplers
    known = {"tpe": samplers.TPESampler, "random": samplers.RandomSampler}
    sampler: optuna.samplers.BaseSampler = known[settings["sampler"]](seed=settings["seed"])
    return sampler


def _pruner(name: Pruner | None) -> optuna.pruners.BasePruner:
    pruners = optuna_module().pruners
    known: Mapping[str | None, type[optuna.pruners.BasePruner]] = {
        None: pruners.NopPruner,
        "asha": pruners.SuccessiveHalvingPruner,
        "hyperband": pruners.HyperbandPruner,
        "median": pruners.MedianPruner,
    }
    return known[name]()


def _suggested(trial: optuna.Trial, key: str, bounds: ParameterRange) -> int | float:
    if isinstance(bounds.low, int) and isinstance(bounds.high, int):
        return trial.suggest_int(key, bounds.low, bounds.high, log=bounds.log)
    return trial.suggest_float(key, bounds.low, bounds.high, log=bounds.log)
