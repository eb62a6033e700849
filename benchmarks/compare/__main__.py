"""Measure captchahub beside other clients: ``make bench``, or ``python -m benchmarks.compare``.

For a trial, set ``BENCH_ROUNDS`` and ``BENCH_SOLVES`` in the environment to less than the usual numbers, and
name parts to measure only these: ``solves``, ``in-flight``, ``features``, ``starts``. A trial prints its
figures. Only a complete run writes ``benchmarks/RESULTS.md``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.compare import in_flight, report, solves, startup, targets
from benchmarks.compare.processes import Site, site

_ROUNDS, _SOLVES = 5, 200
_STARTS = 20

# A round of many jobs in flight takes minutes.
_ROUNDS_IN_FLIGHT = 2

_PARTS = ("solves", "in-flight", "features", "starts")
_RESULTS = Path(__file__).parent.parent / "RESULTS.md"


def parts(where: Site, names: Sequence[str], rounds: int, count: int) -> Iterator[str]:
    """Measure the parts, and yield each in Markdown; the targets are last."""
    found: list[targets.Target] = []
    if "solves" in names or "in-flight" in names:
        costs = solves.measure(where, rounds, count)
        found += targets.solve_targets(costs)
        yield report.solve_part(costs)
        if "in-flight" in names:
            loaded = in_flight.measure(where, min(_ROUNDS_IN_FLIGHT, rounds))
            found += targets.load_targets(costs, loaded)
            yield report.in_flight_part(loaded)
    if "features" in names:
        yield report.feature_part(solves.measure_features(where, rounds, count))
    if "starts" in names:
        starts = startup.measure(where, min(_STARTS, rounds * 4))
        found += targets.start_targets(starts)
        yield report.start_part(starts)
    if found:
        yield report.target_part(found)


def main() -> None:
    """Measure, print, and write the results of a complete run."""
    parser = argparse.ArgumentParser(description="Measure captchahub beside other clients.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(_PARTS)}")
    names = parser.parse_args().parts or list(_PARTS)
    unknown = set(names).difference(_PARTS)
    if unknown:
        parser.error(f"there is no part {unknown.pop()}, only {', '.join(_PARTS)}")
    rounds = int(os.environ.get("BENCH_ROUNDS", _ROUNDS))
    count = int(os.environ.get("BENCH_SOLVES", _SOLVES))
    often = f"{rounds} rounds of {count} solves, {min(_ROUNDS_IN_FLIGHT, rounds)} of many jobs in flight"
    with site() as where:
        conditions = report.conditions(where, often)
        print(conditions, flush=True)
        written: list[str] = []
        for part in parts(where, names, rounds, count):
            print(f"\n{part}", flush=True)
            written.append(part)
    if set(names) == set(_PARTS) and rounds >= _ROUNDS and count >= _SOLVES:
        _RESULTS.write_text(report.whole(conditions, written))
        print(f"\nwritten to {_RESULTS}")


if __name__ == "__main__":
    main()
