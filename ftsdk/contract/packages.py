"""Python packages that a trainer's arguments need beyond the trainer itself: read by plans and by the supervisor."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Final, NamedTuple


class RequiredPackage(NamedTuple):
    """A package that an argument needs."""

    argument: str
    package: str
    """Name on PyPI."""
    module: str
    """What Python imports."""
    in_image: tuple[str, ...] = ()
    """Builds of torch whose ftsdk image has it (`containers/locks`)."""


ALL_IMAGES: Final = ("cpu", "cuda", "cuda12")
PACKAGES: Final = (
    RequiredPackage("deepspeed", "deepspeed", "deepspeed", ("cuda", "cuda12")),
    RequiredPackage("enable_liger_kernel", "liger-kernel", "liger_kernel", ("cuda", "cuda12")),
    RequiredPackage("use_liger_kernel", "liger-kernel", "liger_kernel", ("cuda", "cuda12")),
    RequiredPackage("quantization_bit", "bitsandbytes", "bitsandbytes", ALL_IMAGES),
    RequiredPackage("use_vllm", "vllm", "vllm"),
    RequiredPackage("use_unsloth", "unsloth", "unsloth"),
    RequiredPackage("use_galore", "galore_torch", "galore_torch"),
    RequiredPackage("use_apollo", "apollo_torch", "apollo_torch"),
    RequiredPackage("use_badam", "badam", "badam"),
    RequiredPackage("use_adam_mini", "adam-mini", "adam_mini"),
    RequiredPackage("use_swanlab", "swanlab", "swanlab"),
    RequiredPackage("tracking.mlflow", "mlflow", "mlflow"),
    RequiredPackage("tracking.swanlab", "swanlab", "swanlab"),
    RequiredPackage("tracking.trackio", "trackio", "trackio"),
    RequiredPackage("mixture_of_depths", "mixture-of-depth", "MoD"),
    RequiredPackage("use_kt", "kt-kernel", "kt_kernel"),
    RequiredPackage("fp8", "torchao", "torchao"),
)
SAGEMAKER_MLFLOW: Final = RequiredPackage("tracking.mlflow.uri", "sagemaker-mlflow", "sagemaker_mlflow")
"""MLflow's plug-in for a tracking server of SageMaker's, whose address is an ARN."""
OTHER_QUANTIZERS: Final = ("hqq", "eetq")
"""Values of `quantization_method` that need packages of their own."""


METRIC_PACKAGES: Final = {
    "bleu": RequiredPackage("metric bleu", "sacrebleu", "sacrebleu", ALL_IMAGES),
    **{
        name: RequiredPackage(f"metric {name}", "rouge-score", "rouge_score", ALL_IMAGES)
        for name in ("rouge1", "rouge2", "rougeL")
    },
}
"""Metric of an evaluation -> the package that computes it."""
ALL: Final = (*PACKAGES, SAGEMAKER_MLFLOW, *METRIC_PACKAGES.values())


def required(config: Mapping[str, object], mlflow_uri: str | None = None) -> Iterator[RequiredPackage]:
    """The packages that the arguments of a trainer or an evaluation need, and the address of an MLflow server."""
    if (mlflow_uri or "").startswith("arn:"):
        yield SAGEMAKER_MLFLOW
    metrics, inner = config.get("metrics"), config.get("arguments")
    yield from (row for name, row in METRIC_PACKAGES.items() if isinstance(metrics, Container) and name in metrics)
    given = {**config, **(inner if isinstance(inner, Mapping) else {})}
    reporters = given.get("report_to")
    for row in PACKAGES:
        area, _, name = row.argument.rpartition(".")
        if area == "tracking" and isinstance(reporters, Container) and name in reporters:
            yield row
        if given.get(row.argument) and not (
            row.argument == "quantization_bit" and given.get("quantization_method") in OTHER_QUANTIZERS
        ):
            yield row
