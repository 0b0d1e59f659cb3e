"""`ftsdk jobs` over many ended local jobs."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.launch import report
from bench.launch.timing import Measure, in_turn, load, process
from ftsdk import contract
from ftsdk.home import home_dir, jobs_dir
from ftsdk.jobs import journal
from tests.golden.plans import PLANS

JOBS, RUNS = 10_000, 3
FTSDK = (sys.executable, "-c", "from ftsdk.cli import main; main()", "jobs")
OUTCOME = {"state": "SUCCEEDED", "reason": "", "message": "", "hint": "", "exit_code": 0, "step": 10}


def run(*, quick: bool, results: Path) -> None:
    """Measure, print and keep it as `jobs-DATE.md` and `.json`."""
    where, count = report.machine(), 20 if quick else JOBS
    with TemporaryDirectory(prefix="ftsdk-bench-") as folder:
        os.environ["FTSDK_HOME"] = folder
        _write_jobs(count)
        words = {"ftsdk jobs": (), "ftsdk jobs --limit 20": ("--limit", "20")}
        programs = {name: lambda given=given: process([*FTSDK, *given]) for name, given in words.items()}
        rows = in_turn(1 if quick else RUNS, programs)
    measure = Measure(title=f"The list of {count:,} jobs", about="Whole programs; all jobs are local and have ended.",
                      rows=rows, load=load())  # fmt: skip
    print("\n".join(report.table(measure)))
    print(f"Written to {report.write([measure], {}, where, results, name='jobs')}.")


def _write_jobs(count: int) -> None:
    """As ftsdk and a supervisor would have left them."""
    plan = PLANS["local"]()
    journal.intend(plan)
    journal.remove(plan.uri)
    with closing(sqlite3.connect(home_dir() / "journal.db")) as connection, connection:
        for number in range(count):
            name, began = f"bench-{number:08x}", time.time()
            folder = jobs_dir(home_dir(), "local") / name
            job = replace(plan, name=name, uri=f"local://{name}", request={**plan.request, "folder": str(folder)})
            text = json.dumps(job.to_json())
            values = (job.uri, 1, name, "bench", "local", job.digest, text, began, began)
            connection.execute("INSERT INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            connection.execute("INSERT INTO ended VALUES (?, 1)", (job.uri,))
            outcome = json.dumps({**OUTCOME, "started_at": began, "ended_at": began})
            files = {
                "plan.json": text,
                contract.JOB_FILE: json.dumps(job.document),
                contract.claim_key(1): job.claim().decode(),
                contract.outcome_key(1, 0): outcome,
            }
            for key, content in files.items():
                (folder / key).parent.mkdir(parents=True, exist_ok=True)
                (folder / key).write_text(content, "utf-8")
