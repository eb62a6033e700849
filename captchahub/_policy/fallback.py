"""What a solve does after an error on its route: the error table, and the rules of the route."""

from __future__ import annotations

from captchahub._policy.error_table import Then, row_for
from captchahub.errors import AmbiguousCreate, JobTimeout, NotAsked
from captchahub.settings import Otherwise, RouteSettings


def next_step(error: Exception, route: RouteSettings, *, has_job: bool = False) -> Then:
    """Return what a solve does after an attempt that failed with an error, on a route.

    ``has_job`` is whether the service returned a job id.
    """
    then = row_for(error).then
    if has_job and then is Then.LATER:
        # Whatever error the plugin raised, the job is paid for: another create here would be the second.
        then = Then.NEXT
    if then is Then.STOP or not blocking_rules(error, route):
        return then
    return Then.RETRY if then is Then.LATER else Then.STOP


def blocking_rules(error: Exception, route: RouteSettings) -> list[str]:
    """Return the keys of the route that don't allow the next provider after an error; usually none."""
    # A provider that was not called has not failed, so that the rules about failures say nothing of it.
    if isinstance(error, NotAsked):
        return []
    rules: list[str] = []
    if isinstance(error, AmbiguousCreate) and route.on_ambiguous is Otherwise.FAIL:
        rules.append("on_ambiguous")
    if isinstance(error, JobTimeout) and route.on_timeout is Otherwise.FAIL:
        rules.append("on_timeout")
    if not isinstance(error, route.fallback_on):
        rules.append("fallback_on")
    return rules
