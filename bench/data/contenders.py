"""What is timed: one contender, one file, one process. Prints JSON: rows, faults, seconds, peak memory.

The others do less: fields, types and exact duplicates, no near-duplicates, secrets, lengths or languages.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path


def ours(path: str) -> tuple[int, int]:
    """Everything that `ftsdk data check` does."""
    from ftsdk.data.checks.check import CheckOptions, check

    report = check([path], CheckOptions(method="sft", cutoff_len=2048))
    return report.num_rows, sum(1 for f in report.findings if f.severity == "error")


def ours_structural(path: str) -> tuple[int, int]:
    """The same without near-duplicates, secrets, personal data and languages: nearer to what the others do."""
    from ftsdk.data.checks.check import CheckOptions, check

    report = check([path], CheckOptions(method="sft", heuristics=False))
    return report.num_rows, sum(1 for f in report.findings if f.severity == "error")


def _faulty(row: dict, seen: set) -> bool:
    for name in ("instruction", "output"):
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            return True
    key = hash((row["instruction"], row.get("input"), row["output"]))
    if key in seen:
        return True
    seen.add(key)
    return False


def with_datasets(path: str) -> tuple[int, int]:
    """`datasets.load_dataset` and a Python loop over its rows."""
    import tempfile

    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        rows = datasets.load_dataset("json", data_files=path, split="train", cache_dir=cache)
        seen: set = set()
        return len(rows), sum(_faulty(row, seen) for row in rows)


def with_python(path: str) -> tuple[int, int]:
    """`json.loads` of each line in a loop."""
    seen: set = set()
    count = faults = 0
    with Path(path).open(encoding="utf-8") as stream:
        for line in stream:
            count += 1
            try:
                faults += _faulty(json.loads(line), seen)
            except ValueError:
                faults += 1
    return count, faults


CONTENDERS: dict[str, Callable[[str], tuple[int, int]]] = {
    "ftsdk": ours, "ftsdk, exact": ours_structural, "datasets": with_datasets, "python": with_python,
}  # fmt: skip


def main() -> None:
    started, cpu = time.perf_counter(), time.process_time()
    rows, faults = CONTENDERS[sys.argv[1]](sys.argv[2])
    print(json.dumps({
        "rows": rows,
        "faults": faults,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
