"""``captchahub accounts``: what each account has, costs and has spent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import attrs
import click

from captchahub.cli.hubs import open_hub, spent_today
from captchahub.cli.options import config_option
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import ExitCode, need_stdout, put, say, writing_stdout
from captchahub.cli.text import money_text, printable
from captchahub.errors import AuthenticationError, CaptchaHubError, NotOffered
from captchahub.hub import Hub
from captchahub.jobs import BudgetStatus
from captchahub.provider import Balance, Service
from captchahub.results import ProviderHealth, ProviderState
from captchahub.settings import HubSettings, ProviderSettings

__all__ = ["accounts"]

_EPILOG = """
\b
state    healthy, or why the provider can't be used: refused, unreachable,
         no money, or the state of its circuit breaker
balance  as the service names it; "not offered" if it has no such call
prices   of one job, by kind of task; "closed" if the service takes none now
today    what was spent since midnight, local time
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
    balance: Balance | CaptchaHubError
    services: Sequence[Service]
    today: Decimal
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
    with hub:
        found, total = _accounts(hub, settings)
    with writing_stdout():
        if as_json:
            budget = None if total is None else _budget(total)
            put(json.dumps({"accounts": [_fields(one) for one in found], "budget": budget}, indent=2))
        else:
            _show(found, total)
    for one in found:
        if one.failed and not as_json:
            say(f"{one.settings.name}: {_error(one.balance)}")
    click.get_current_context().exit(ExitCode.UNSOLVED if any(one.failed for one in found) else ExitCode.DONE)


def _accounts(hub: Hub, settings: HubSettings) -> tuple[Sequence[_Account], BudgetStatus | None]:
    """Return every account, and the budget of the whole hub."""
    balances, budgets = hub.balances(), {one.provider: one for one in hub.budgets()}
    today = spent_today(hub)
    found: list[_Account] = []
    for name, own in settings.providers.items():
        try:
            services: Sequence[Service] = hub.services(name)
        except CaptchaHubError:
            # No price list is no fault, and a service that can't be reached has failed to name a balance too.
            services = ()
        spent, budget = today.get(name, Decimal(0)), budgets.get(name)
        found.append(_Account(own, hub.health()[name], balances[name], services, spent, budget))
    return found, budgets.get(None)


def _error(balance: object) -> str:
    advice = getattr(balance, "advice", "")
    return f"{type(balance).__name__}: {balance}" + (f"; {advice}" if advice else "")


def _fields(one: _Account) -> Mapping[str, object]:
    balance = one.balance
    return {
        "provider": one.settings.name,
        "plugin": one.settings.plugin,
        "state": one.state,
        "reason": one.health.reason,
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
        "spent_today": money_text(one.today),
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
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Column, Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    names = ("account", "state", "balance", "prices", "today", "left")
    table = Table(*(Column(name, overflow="fold") for name in names), box=None, pad_edge=False)
    for one in found:
        state = Text(one.state, "green" if one.state == ProviderState.HEALTHY.value else "red")
        prices = "\n".join(_price(*line) for line in one.prices()) or "unknown"
        left = "no budget" if one.budget is None else _left(one.budget)
        account = f"{one.settings.name}\n{one.settings.plugin}"
        texts = (account, _balance(one), prices, money_text(one.today), left)
        first, *others = (Text(text) for text in texts)
        table.add_row(first, state, *others)
    console.print(table)
    if total is not None:
        console.print(f"left of the budget of all accounts: {_left(total)}")


def _balance(one: _Account) -> str:
    if isinstance(one.balance, NotOffered):
        return "not offered"
    if isinstance(one.balance, CaptchaHubError):
        return "-"
    in_kind = [f"{money_text(left)} {printable(name)}" for name, left in one.balance.in_kind.items()]
    return "\n".join([f"{money_text(one.balance.amount)} {one.currency or ''}".rstrip(), *in_kind])


def _price(kind: str, price: Decimal | None, is_open: bool) -> str:  # noqa: FBT001 - the items of a triple
    return f"{kind} {money_text(price)}{'' if is_open else ', closed'}"


def _left(status: BudgetStatus) -> str:
    per = "in total" if status.until is None else f"per {status.per.value}"
    return f"{money_text(status.left)} of {money_text(status.limit)} {per}"
