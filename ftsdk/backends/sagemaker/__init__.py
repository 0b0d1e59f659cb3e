"""The sagemaker backend: a managed training job of Amazon SageMaker, in any image that holds the trainer.

It calls boto3 directly: the vendor's own SDK can neither name a job nor plan one without uploading.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from ftsdk import planning
from ftsdk.backends.base import Capabilities, require
from ftsdk.backends.sagemaker import isolation, machines, places
from ftsdk.backends.sagemaker import request as requests
from ftsdk.backends.sagemaker.options import SageMakerOptions
from ftsdk.errors import SpecError
from ftsdk.facts import Facts
from ftsdk.plan import Plan
from ftsdk.spec import JobSpec


class SageMaker:
    """Jobs as SageMaker training jobs, `NAME-a1`, `NAME-a2` …; their folder lies in S3."""

    name: ClassVar[str] = "sagemaker"
    capabilities: ClassVar[Capabilities] = Capabilities(
        multi_node=True, spot=True, secrets=True, remote_output=True, image=True
    )
    options_model: ClassVar[type[SageMakerOptions]] = SageMakerOptions

    def __init__(self, options: SageMakerOptions | None = None) -> None:
        self.options = options or SageMakerOptions()

    # --- start ---------------------------------------------------------------------------------------------
    def plan(self, spec: JobSpec, facts: Facts) -> Plan:
        """The arguments of `create_training_job`, and the uploads before it."""
        require(self.name, self.capabilities, spec)
        isolation.refuse(spec, facts, self.options)
        facts = replace(facts, machine=replace(facts.machine, accelerators=()))  # this machine's own mean nothing there
        asked = self._asked(spec, facts)
        made = planning.draft(
            asked.spec,
            facts,
            digest=asked.digest,
            backend=self.name,
            layout=requests.layout(facts, asked.root, isolated=self.options.network_isolation, durable=asked.durable),
            nproc_per_node=spec.resources.accelerators_per_node,
            grace_s=requests.GRACE_S,
        )
        plan = planning.plan_from(
            made,
            asked.spec,
            backend=self.name,
            scope=asked.region,
            request=requests.request(asked),
            options=self.options.model_dump(mode="json"),
        )
        channels = (*requests.own_channels(asked), *requests.inputs_of(facts, asked.root))
        return replace(
            plan,
            uploads=tuple(upload for channel in channels for upload in channel.uploads),
            warnings=(*plan.warnings, *machines.warnings(asked.types, spec.resources)),
        )

    # --- parts of these ------------------------------------------------------------------------------------
    def _asked(self, spec: JobSpec, facts: Facts) -> requests.Asked:
        options = self.options
        region = places.checked_region(options.region)
        if options.role is None:
            raise SpecError(
                "The sagemaker backend needs the option 'role', the ARN of an IAM role: give it by -o role=ARN, "
                "FTSDK_SAGEMAKER_ROLE, or [sagemaker] in ftsdk.toml; `ftsdk doctor -b sagemaker` prints its policy."
            )
        account = places.account_of(options.role, region)
        types = options.instance_type or (machines.instance_for(spec.resources),)
        digest = planning.digest_of(spec, facts)
        name = planning.job_name(spec, digest)
        root = places.root(options.bucket, options.prefix, account=account, region=region)
        return requests.Asked(
            spec=_with_accelerator(spec, types[0]),
            facts=facts,
            options=options,
            name=name,
            digest=digest,
            region=region,
            account=account,
            root=root,
            durable=places.durable(spec.output, root, name),
            image=options.image or places.default_image(types[0], account=account, region=region),
            types=types,
        )


def _with_accelerator(spec: JobSpec, instance_type: str) -> JobSpec:
    """The spec as it will run: a named machine says which accelerator that is, or that there is none."""
    instance = machines.accelerators_of(instance_type)
    card = instance.card if instance else None
    return spec.model_copy(update={"resources": spec.resources.model_copy(update={"accelerator": card})})
