"""``captchahub accounts``: what each account has, costs and has spent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from captchahub.cli.health import SeenHealth, seen_health
from captchahub.cli.hubs import Spent, open_hub, spent_today
from captchahub.cli.journal import say_journal
from captchahub.cli.options import config_option
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import ExitCode, need_stdout, put, say, writing_stdout
from captchahub.cli.text import amount_text, money_text, printable, spent_text, with_advice
from captchahub.cli.waiting import waiting_for
from captchahub.errors import AuthenticationError, CaptchaHubError, NotOffered
from captchahub.hub import Hub
from captchahub.jobs import BudgetStatus
from captchahub.provider import Balance, Service
from captchahub.results import ProviderHealth, ProviderState
from captchahub.settings import HubSettings, ProviderSettings

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["accounts"]

_EPILOG = """
\b
state    healthy, or why the provider can't be used: refused, unreachable,
         no money, or the state of its circuit breaker
health   of the account in the processes that use the journal now: healthy,
         cooling or out; a line below the table says until when and why
balance  as the service names it; "not offered" if it has no such call
prices   of one job, by kind of task; "closed" if the service takes none now
today    what was spent since midnight, local time; "+ 3 unpriced" says that it
         does not contain 3 jobs without a known price
left     what is left of the budget in its present period

\b
Exit codes:
  0  every account that can be asked for its balance has answered
  1  an account did not answer, or was refused
  2  wrong usage
  3  the configuration is missing or wrong, or the journal can't be used
"""


@attrs.frozen
class _Account:
    settings: ProviderSettings
    health: ProviderHealth
    seen: SeenHealth | None
    balance: Balance | CaptchaHubError
    services: Sequence[Service]
    today: Spent
    budget: BudgetStatus | None

    @property
    def failed(self) -> bool:
        return isinstance(self.balance, CaptchaHubError) and not isinstance(self.balance, NotOffered)

    @property
    def state(self) -> str:
        if self.failed:
            return "refused" if isinstance(self.balance, AuthenticationError) else "unreachable"
        if isinstance(self.balance, Balance) and not self.balance.can_pay:
            return "no money"
        return self.health.state.value

    @property
    def currency(self) -> str | None:
        own = self.balance.currency if isinstance(self.balance, Balance) else None
        return own or self.settings.currency

    def prices(self) -> Iterator[tuple[str, Decimal | None, bool]]:
        """Yield the kind, the price and whether the service takes such tasks now, for each kind it lists."""
        listed = {line.kind: line for line in self.services if line.kind is not None}
        for kind in sorted({*self.settings.prices, *listed}):
            line = listed.get(kind)
            price = self.settings.prices.get(kind, None if line is None else line.price)
            yield kind, price, line is None or line.is_open is not False


@click.command(cls=Subcommand, epilog=_EPILOG)
@config_option("The YAML file with the providers; found as by captchahub solve.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def accounts(config: Path | None, *, as_json: bool) -> None:
    """Show the balance, prices, spending and budget of every account."""
    need_stdout()
    hub, settings = open_hub(config)
    with hub, waiting_for(settings.providers):
        found, total = _accounts(hub, settings)
    with writing_stdout():
        if as_json:
            budget = None if total is None else _budget(total)
            put(json.dumps({"accounts": [_fields(one) for one in found], "budget": budget}, indent=2))
        else:
            _show(found, total)
    if not as_json:
        say_journal(settings.journal)
    for one in found:
        if isinstance(one.balance, CaptchaHubError) and one.failed and not as_json:
            say(f"{one.settings.name}: {type(one.balance).__name__}: {with_advice(one.balance)}")
    click.get_current_context().exit(ExitCode.UNSOLVED if any(one.failed for one in found) else ExitCode.DONE)


def _accounts(hub: Hub, settings: HubSettings) -> tuple[Sequence[_Account], BudgetStatus | None]:
    """Return every account, and the budget of the whole hub."""
    with ThreadPoolExecutor(len(settings.providers) or 1) as threads:
        # At the same time as the balances, because a service that never answers takes seconds for each call.
        listed = {name: threads.submit(_services, hub, name) for name in settings.providers}
        balances = hub.balances()
    budgets = {one.provider: one for one in hub.budgets()}
    today, recorded = spent_today(hub), hub.recorded_health()
    found: list[_Account] = []
    for name, own in settings.providers.items():
        # No other process can see a journal in memory.
        is_shared = settings.journal.place is not None
        seen = seen_health([one for one in recorded if one.configured_as == name]) if is_shared else None
        spent, budget = today.get(name, Spent()), budgets.get(name)
        services = listed[name].result()
        found.append(_Account(own, hub.health()[name], seen, balances[name], services, spent, budget))
    return found, budgets.get(None)


def _services(hub: Hub, name: str) -> Sequence[Service]:
    try:
        return hub.services(name)
    except CaptchaHubError:
        # No price list is no fault, and a service that can't be reached has failed to name a balance too.
        return ()


def _fields(one: _Account) -> Mapping[str, object]:
    balance = one.balance
    return {
        "provider": one.settings.name,
        "plugin": one.settings.plugin,
        "state": one.state,
        "reason": one.health.reason,
        "health": None if one.seen is None else one.seen.fields(),
        "balance": money_text(balance.amount) if isinstance(balance, Balance) else None,
        "in_kind": {name: money_text(left) for name, left in balance.in_kind.items()}
        if isinstance(balance, Balance)
        else {},
        "currency": one.currency,
        "error": None
        if isinstance(balance, Balance)
        else {"type": type(balance).__name__, "message": str(balance)},
        "prices": {
            kind: {"price": None if price is None else money_text(price), "is_open": is_open}
            for kind, price, is_open in one.prices()
        },
        "spent_today": money_text(one.today.amount),
        "unpriced": one.today.unpriced,
        "budget": None if one.budget is None else _budget(one.budget),
    }


def _budget(status: BudgetStatus) -> Mapping[str, object]:
    return {
        "limit": money_text(status.limit),
        "per": status.per.value,
        "spent": money_text(status.spent),
        "left": money_text(status.left),
        "until": None if status.until is None else status.until.isoformat(timespec="minutes"),
    }


def _show(found: Sequence[_Account], total: BudgetStatus | None) -> None:
    # Imported late, because rich takes long to import and help does not need it.
    from rich.text import Text  # noqa: PLC0415

    from captchahub.cli.tables import fitted, new_console  # noqa: PLC0415

    console = new_console()
    names = ("account", "state\nhealth", "balance", "prices", "today", "left")
    rows: list[Sequence[Text]] = []
    for one in found:
        state = Text("\n").join(map(_state, (one.state, "-" if one.seen is None else one.seen.state.value)))
        prices = "\n".join(_price(*line, one.currency) for line in one.prices()) or "unknown"
        left = "no budget" if one.budget is None else "\n".join(_left(one.budget, one.currency))
        account = f"{one.settings.name}\n{one.settings.plugin}"
        today = spent_text(one.today.amount, one.today.unpriced, one.currency).replace(" + ", "\n+ ")
        first, *others = (Text(text) for text in (account, _balance(one), prices, today, left))
        rows.append((first, state, *others))
    console.print(fitted(names, rows, console.width))
    for one in found:
        if one.seen is not None and one.seen.processes:
            console.print(Text(f"{one.settings.name} in running processes: {one.seen.text()}"))
    if total is not None:
        currencies = {one.currency for one in found}
        currency = currencies.pop() if len(currencies) == 1 else None
        console.print(f"left of the budget of all accounts: {' '.join(_left(total, currency))}")


def _state(state: str) -> Text:
    from rich.text import Text  # noqa: PLC0415 - see above

    is_well = state in (ProviderState.HEALTHY.value, "-")
    return Text(state, "green" if is_well else "red")


def _balance(one: _Account) -> str:
    if isinstance(one.balance, NotOffered):
        return "not offered"
    if isinstance(one.balance, CaptchaHubError):
        return "-"
    in_kind = [f"{amount_text(left)} {printable(name)}" for name, left in one.balance.in_kind.items()]
    return "\n".join([amount_text(one.balance.amount, one.currency), *in_kind])


def _price(kind: str, price: Decimal | None, is_open: bool, currency: str | None) -> str:  # noqa: FBT001 - the items of a triple
    return f"{kind} {amount_text(price, currency)}{'' if is_open else ', closed'}"


def _left(status: BudgetStatus, currency: str | None) -> tuple[str, str]:
    """Return what is left of a budget as two lines."""
    per = "in total" if status.until is None else f"per {status.per.value}"
    return amount_text(status.left, currency), f"of {amount_text(status.limit)} {per}"
