"""LLaMA-Factory as its users have it: the examples and demo data of its source distribution, and its own parser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from ftsdk.testing.tiny import TRAINER_PYTHON

RELEASE = "0.9.5"
PARSE = """
import json, sys
from llamafactory.hparams import parser
from transformers import HfArgumentParser

answers = {}
for name, config in json.load(sys.stdin).items():
    try:
        parser._TRAIN_ARGS and HfArgumentParser(parser._TRAIN_ARGS).parse_dict(config)
        answers[name] = ""
    except Exception as problem:
        answers[name] = f"{type(problem).__name__}: {problem}"
print("ANSWERS" + json.dumps(answers))
"""


def source(cache: Path) -> Path:
    """The unpacked source distribution, from the package index; fetched once, kept in a cache folder."""
    folder = cache / f"llamafactory-{RELEASE}"
    if not folder.is_dir():
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*download, f"llamafactory=={RELEASE}", "--dest", str(cache)], check=True)
        with tarfile.open(cache / f"llamafactory-{RELEASE}.tar.gz") as archive:
            archive.extractall(cache, filter="data")
    return folder


def parser_answers(configs: dict[str, dict[str, object]], folder: Path) -> dict[str, str]:
    """What LLaMA-Factory's own argument parser says to each configuration: nothing, or its complaint."""
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "DISABLE_VERSION_CHECK": "1"}
    done = subprocess.run(
        [TRAINER_PYTHON, "-c", PARSE], input=json.dumps(configs), capture_output=True, text=True, check=True,
        cwd=folder, env=environ,
    )  # fmt: skip
    answers: dict[str, str] = json.loads(done.stdout.partition("ANSWERS")[2])
    return answers
