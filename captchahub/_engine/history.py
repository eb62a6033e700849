"""The attempts of one solve, and the result or the error that they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Generic, TypeVar, cast

import attrs

from captchahub._engine.context import AttemptOutcome, SolveInfo
from captchahub._policy.fallback import blocking_rules
from captchahub._policy.voting import Tally
from captchahub._providers.account import Account
from captchahub._support.clock import now
from captchahub._support.redaction import mask
from captchahub.errors import (
    HOW_TO_REPORT,
    INSTEAD_OF_WAITING,
    AllProvidersFailed,
    Attempt,
    JournalError,
    NotAsked,
    Outvoted,
    ProviderError,
    SolveTimeout,
    TaskError,
)
from captchahub.provider import Solved
from captchahub.results import Result, Vote
from captchahub.settings import RouteSettings
from captchahub.tasks import SlideSolution, Solution, TextSolution

S = TypeVar("S", bound=Solution)

# In characters, as much of an answer as a line of an error has room for.
_LONGEST_ANSWER = 60


class AttemptHistory(Generic[S]):
    """The attempts of one solve, in the order in which they ended. ``begun`` is in the loop's time."""

    def __init__(self, solve: SolveInfo[S], route: RouteSettings, *, begun: float, timeout: float) -> None:
        self.stop_error: ProviderError | None = None
        """The error after which no provider is called any more."""
        self.retry_error: ProviderError | None = None
        """The error after which only its own provider is called."""
        self.was_too_short = False
        """Whether a provider was left out because there was too little time for it."""
        self.has_met_equal = False
        """Whether a job for an equal task was waited for."""
        self._kind = solve.task.kind
        self._route = route
        self._options = solve.options
        self._begun = begun
        self._timeout = timeout
        self._outcomes: list[AttemptOutcome] = []
        self._votes: list[int] = []
        """The places of the attempts with an answer, in the order of the answers, as a tally counts them."""
        self._late: set[int] = set()

    def add(self, outcome: AttemptOutcome) -> int:
        """Add an attempt that has ended. Return its place among them."""
        place = len(self._outcomes)
        if outcome.solved is not None:
            self._votes.append(place)
        self._outcomes.append(outcome)
        return place

    def replace(self, place: int, outcome: AttemptOutcome) -> None:
        """Replace the attempt at a place, because one job is one attempt, whenever it is done."""
        if outcome.solved is not None:
            self._votes.append(place)
            self._late.add(place)
        self._outcomes[place] = outcome

    def stop_with(self, error: ProviderError) -> None:
        """Call no provider any more. The caller's own mistake goes before other reasons."""
        if self.stop_error is None or (
            isinstance(error, TaskError) and not isinstance(self.stop_error, TaskError)
        ):
            self.stop_error = error

    def forget(self) -> None:
        """Forget the attempts and their errors."""
        self.stop_error = self.retry_error = None
        self._outcomes.clear()

    @property
    def attempted(self) -> int:
        """The number of attempts, without those that ended before anything was sent."""
        return sum(not isinstance(outcome.attempt.error, NotAsked) for outcome in self._outcomes)

    @property
    def was_too_short_for_all(self) -> bool:
        """Whether no provider was called, because there was too little time."""
        return self.was_too_short and not self._outcomes

    def ended_with(self, kind: type[ProviderError]) -> bool:
        """Return whether the last attempt failed with an error of a class."""
        return bool(self._outcomes) and isinstance(self._outcomes[-1].attempt.error, kind)

    def result(self, tally: Tally[Solution], overtaken: Callable[[str], Iterable[Attempt]]) -> Result[S]:
        """Return the result of a tally that has a winner. ``overtaken`` returns the attempts under way."""
        agreeing = tally.agreeing
        place = self._votes[cast("int", tally.winner)]
        winner = self._outcomes[place]
        attempts = self._with_outvoted(tally)
        name = winner.attempt.provider
        faster = f"{name} was called as well and was faster"
        if place in self._late:
            faster = f"the earlier job at {name} was done first, after all"
        attempts += overtaken(faster)
        return Result(
            solution=self._solution(place),
            kind=self._kind,
            provider=winner.attempt.provider,
            job_id=winner.attempt.job_id,
            cost=winner.attempt.cost,
            elapsed=now() - self._begun,
            is_shared=winner.is_shared,
            attempts=tuple(attempts),
            ignored_options=tuple(name for name in self._options if name not in winner.sent),
            votes=tuple(
                self._vote(place, is_agreeing=vote in agreeing) for vote, place in enumerate(self._votes)
            ),
        )

    def _vote(self, place: int, *, is_agreeing: bool) -> Vote[S]:
        attempt = self._outcomes[place].attempt
        return Vote(attempt.provider, attempt.job_id, self._solution(place), is_agreeing, self._kind)

    def _solution(self, place: int) -> S:
        # An outcome with a vote has an answer, and the attempt has checked that it is of the task's own type.
        return cast("S", cast("Solved", self._outcomes[place].solved).solution)

    def _with_outvoted(self, tally: Tally[Solution]) -> list[Attempt]:
        attempts = [outcome.attempt for outcome in self._outcomes]
        for vote, place in enumerate(self._votes):
            if vote not in tally.agreeing:
                attempts[place] = attrs.evolve(attempts[place], error=self._outvoted(vote, tally))
        return attempts

    def _outvoted(self, vote: int, tally: Tally[Solution]) -> Outvoted:
        answer, needed = self._shown(vote), self._route.agree
        if tally.winner is not None:
            agreed = f"{len(tally.agreeing)} others agreed on {self._shown(tally.winner)}"
            return Outvoted(f"answered {answer}, and {agreed}", advice=HOW_TO_REPORT)
        if len(self._votes) == 1:
            said = f"answered {answer}, which is the only answer that came, and {needed} must agree"
            return Outvoted(said, advice="see why the others gave none, or add a provider to the route")
        others = tally.others(vote)
        also = f"and {others} more did" if others else "and no other provider did"
        return Outvoted(f"answered {answer}, {also}, but {needed} must agree")

    def _shown(self, vote: int) -> str:
        """Return an answer as a person would read it, short and without the token."""
        place = self._votes[vote]
        secrets, solution = self._outcomes[place].account.secrets, self._solution(place)
        match solution:
            case TextSolution():
                return repr(_cut(mask(str(solution.text), secrets)))
            case SlideSolution(start, end):
                drag = f"a drag from ({start.x}, {start.y}) to ({end.x}, {end.y})"
                return _cut(mask(drag, secrets))
            case _:
                return _cut(mask(repr(solution), secrets))

    def failure(
        self, accounts: Sequence[Account], tally: Tally[Solution], *, ran_short: bool
    ) -> AllProvidersFailed | JournalError | TaskError:
        """Return the error of a solve without an answer; ``ran_short`` if it is for lack of time."""
        if isinstance(self.stop_error, (JournalError, TaskError)):
            return self.stop_error
        attempts = [*self._with_outvoted(tally), *self._not_asked(accounts)]
        task = f"this {self._kind} task"
        if ran_short and self.stop_error is None:
            return SolveTimeout(f"{task} was not solved within {self._timeout:g} s", attempts)
        return AllProvidersFailed(self._why(task), attempts)

    def _why(self, task: str) -> str:
        if self.stop_error is not None:
            error = type(self.stop_error).__name__
            return f"no provider solved {task}, and after {error} no other provider is called"
        if self._route.agree > 1:
            return f"no {self._route.agree} providers gave the same answer to {task}"
        if self._route.max_attempts == self.attempted:
            attempts = "1 attempt" if self.attempted == 1 else f"{self.attempted} attempts"
            return f"no provider solved {task} in {attempts}"
        return f"no provider solved {task}"

    def _not_asked(self, accounts: Sequence[Account]) -> Iterable[Attempt]:
        """Yield a record of each provider of the route that was not called, with the reason."""
        recorded = {outcome.attempt.provider for outcome in self._outcomes}
        for account in accounts:
            name = account.settings.name
            if name not in recorded:
                yield Attempt(name, 0.0, error=self._why_not(account), cost=Decimal(0))

    def _why_not(self, account: Account) -> NotAsked:
        closed = account.admission.refusal()
        if closed is not None:
            return closed
        last = self.stop_error or self.retry_error
        if last is not None:
            rules = blocking_rules(last, self._route)
            advice = f"{' and '.join(rules)} of the route {'says' if len(rules) == 1 else 'say'} so"
            return NotAsked(f"no other provider is called after {type(last).__name__}", advice=advice)
        if self._route.max_attempts == self.attempted:
            return NotAsked(f"max_attempts is {self._route.max_attempts}", advice="raise it")
        if self.has_met_equal:
            return NotAsked("a job for an equal task is under way", advice=INSTEAD_OF_WAITING)
        if self._route.agree > 1:
            too_few = f"too few others were left for {self._route.agree} to agree"
            return NotAsked(too_few, advice="add a provider to the route, or lower agree")
        return account.too_short()


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_ANSWER else text[: _LONGEST_ANSWER - 1] + "…"
