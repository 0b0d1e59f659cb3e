"""SkyPilot's own dry run of our tasks: its optimizer picks the machine and it writes that cloud's cluster file.

Of a cloud it needs the catalogue and the word that the cloud is enabled, both of which it keeps on this machine; here
they are written for it, in a home of the test's own. Kubernetes cannot be tried so: SkyPilot asks its API server.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests import slurm
from tests.golden import plans

pytestmark = pytest.mark.skypilot
IMAGES = "Tag,Region,OS,OSVersion,ImageId,CreationDate"
CATALOGUE = {
    "aws/vms.csv": """\
InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone,Arch
p4de.24xlarge,A100-80GB,8,96,1152,,40,20,us-east-1,use1-az1,x86_64
p5.48xlarge,H100,8,192,2048,,60,30,us-west-2,usw2-az1,x86_64
p5.48xlarge,H100,8,192,2048,,60,10,us-east-1,use1-az1,x86_64""",
    "aws/images.csv": f"{IMAGES}\nskypilot:custom-gpu-ubuntu-cuda13,us-east-1,ubuntu,22.04,ami-0,20260101",
    "aws/instance_quota_mapping.csv": "InstanceType,OnDemandInstanceCode,SpotInstanceCode",
    "gcp/vms.csv": """\
InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Region,AvailabilityZone,Price,SpotPrice
g2-standard-8,8,32,,,,us-central1,us-central1-a,0.8,0.3
g2-standard-16,16,64,,,,us-central1,us-central1-a,1.2,0.4
,,,L4,1,,us-central1,us-central1-a,0,0""",
    "gcp/images.csv": f"{IMAGES}\nskypilot:custom-gpu-ubuntu-2204-cuda13,,ubuntu,22.04,projects/p/global/images/i,2026",
    "gcp/accelerator_quota_mapping.csv": "Accelerator,OnDemandInstanceCode,SpotInstanceCode",
    "azure/vms.csv": """\
InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,Generation
Standard_NC24ads_A100_v4,A100-80GB,1,24,220,,3.7,1.4,eastus,V2
Standard_NC24ads_A100_v4,A100-80GB,1,24,220,,3.6,1.5,westus,V2""",
    "azure/images.csv": f"{IMAGES}\nskypilot:custom-gpu-ubuntu-v2,,ubuntu,22.04,/CommunityGalleries/g/Images/i,2026",
    "common/accelerators.csv": "AcceleratorName,Clouds\nA100-80GB,['AWS']\nH100,['AWS']\nL4,['GCP']",
}
DRY_RUN = """
import json, os, sys, time, sky
from sky import check, clouds, execution, global_user_state, optimizer, skypilot_config
from sky.utils.db import kv_cache

workspace = skypilot_config.get_active_workspace()
global_user_state.set_enabled_clouds(["aws", "gcp", "azure"], clouds.CloudCapability.COMPUTE, workspace)
global_user_state.set_allowed_clouds(check._get_workspace_allowed_clouds(workspace), workspace)
kv_cache.add_or_update_cache_entry("aws:ami:root_device_name:None:us-east-1:ami-0", "/dev/sda1", time.time() + 600)
found = {}
for name, asked in json.load(sys.stdin).items():
    secrets = [(secret, "x") for secret in asked.get("secrets", {})]
    with sky.Dag() as dag:
        sky.Task.from_yaml_config(asked, secrets_overrides=secrets)
    best = optimizer.Optimizer.optimize(dag, quiet=True).tasks[0].best_resources
    execution.launch(dag, cluster_name=name, dryrun=True)
    found[name] = [best.instance_type, best.region, best.use_spot, best.extract_docker_image()]
print("\\n" + json.dumps(found))
"""
ON_SLURM = "import json, sys, sky; sky.get(sky.launch(sky.Task.from_yaml_config(json.load(sys.stdin)), dryrun=True))"
OURS = "hiyouga/llamafactory:0.9.5"


def task(name, here):
    """A golden task, whose files are here."""
    made = plans.PLANS[name]().request["task"]
    return {**made, "file_mounts": dict.fromkeys(made["file_mounts"], str(here))}


def test_the_clouds(tmp_path):
    for name, rows in CATALOGUE.items():
        path = tmp_path / ".sky" / "catalogs" / "v8" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rows + "\n")
    tasks = {name: task(f"skypilot-{name}", tmp_path / ".sky") for name in ("aws-spot", "gcp", "azure")}
    tasks["aws-spot"]["file_mounts"]["/tmp/model"] = "s3://bucket/models/qwen"
    environment = {**os.environ, "HOME": str(tmp_path), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
    run = subprocess.run(
        [slurm.PYTHON, "-c", DRY_RUN], input=json.dumps(tasks), env=environment, text=True, capture_output=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("Dryrun finished.") == len(tasks)
    assert json.loads(run.stdout.splitlines()[-1]) == {
        "aws-spot": ["p4de.24xlarge", "us-east-1", True, OURS],  # the first card that is to be had; H100 is cheaper
        "gcp": ["g2-standard-16", "us-central1", False, "me/trainer:1"],  # the smaller one has not the memory
        "azure": ["Standard_NC24ads_A100_v4", "westus", False, OURS],  # the cheapest
    }


def test_slurm(tmp_path):
    asked = task("skypilot-slurm", tmp_path)
    there = {**asked, "resources": {**asked["resources"], "infra": slurm.SPOT}}
    slurm.sky(ON_SLURM, there)
