"""Sums a batch up, as text and for JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from captchahub.cli.batch.totals import Totals
from captchahub.cli.text import counted, money_text

__all__ = ["percentage", "summary", "totals_fields"]


def summary(totals: Totals, elapsed: float) -> str:
    """Return the lines that sum a batch up; ``elapsed`` is the time of this run, in seconds."""
    done = totals.done - totals.done_before
    lines = [f"{totals.solved} of {counted(totals.total, 'picture')} solved, {totals.failed} failed"]
    if totals.judged:
        share = percentage(totals.right, totals.judged)
        lines.append(f"{share} right: {totals.right} of {totals.judged} whose right answers are known")
    unpriced = f", and {counted(totals.unpriced, 'job')} without a known price" if totals.unpriced else ""
    lines.append(f"{money_text(totals.spent)} spent{unpriced}, in all runs of this batch")
    before = f"; {totals.done_before} were done before" if totals.done_before else ""
    lines.append(f"{counted(done, 'picture')} in {elapsed:.1f} s, {done / max(elapsed, 1e-9):.1f}/s{before}")
    return "\n".join(lines)


def percentage(part: int, whole: int) -> str:
    """Return a share such as ``66.6 %``."""
    # Rounded down, so that 100 % means all of them.
    return f"{int(1000 * part / whole) / 10:g} %"


def totals_fields(totals: Totals, elapsed: float) -> Mapping[str, object]:
    """Return the totals for JSON. Amounts are text, to be exact."""
    return {
        "total": totals.total,
        "solved": totals.solved,
        "failed": totals.failed,
        "done_before": totals.done_before,
        "judged": totals.judged,
        "right": totals.right,
        "spent": money_text(totals.spent),
        "unpriced": totals.unpriced,
        "errors": dict(totals.errors),
        "elapsed": round(elapsed, 3),
    }
