"""``sitewatt market claims|estimates|statement``: what a person looks at before, and after, money moves."""

import csv
import io
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.units import epoch_ms
from sitewatt.commands.market_tables import (
    JsonOption,
    TablesArgument,
    TablesOption,
    ZoneOption,
    local,
    opened,
    zones_of,
)
from sitewatt.money_text import eur, kwh, owes
from sitewatt.output import BAD_INPUT, FIRST_YEAR, LAST_YEAR, fail, print_json, tell

if TYPE_CHECKING:
    from cloud.market.statement import Statement

claims = typer.Typer(help="Claims on flagged baselines, which wait for a person.", no_args_is_help=True)

EventOption = Annotated[str, typer.Option(help="The demand-response event, as the list shows it.")]
SiteOption = Annotated[str, typer.Option(help="Whose claim.")]
ByOption = Annotated[str, typer.Option(help="Who decides; kept in the journal.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept in the journal.")]


@claims.command("list")
def list_claims(tables: TablesArgument, zone: ZoneOption = None, as_json: JsonOption = False) -> None:
    """Show the claims that wait, with their baselines, flags and what they would be paid at most."""
    from cloud.shell.market.review import waiting_claims

    with opened(tables, as_json) as (store, registry):
        found = [claim for one in zones_of(registry, zone, as_json) for claim in waiting_claims(store, one.id)]
        begins = [local(registry, claim["zone"], claim["intervals"][0]["start"]) for claim in found]
    if as_json:
        print_json({"claims": found})
        return
    for claim, begin in zip(found, begins, strict=True):
        tell(
            f"{claim['zone']}  {claim['event']}  {claim['site']}: {', '.join(claim['flags'])}; "
            f"{len(claim['intervals'])} intervals from {begin}, up to {eur(claim['claimed_uct'])}"
        )
    tell(f"{len(found)} claims wait")


@claims.command()
def approve(
    tables: TablesArgument,
    event: EventOption,
    site: SiteOption,
    by: ByOption,
    reason: ReasonOption,
    zone: ZoneOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a claim be paid for what the meter confirms."""
    _decide(tables, zone, event=event, site=site, by=by, reason=reason, pay=True, as_json=as_json)


@claims.command()
def refuse(
    tables: TablesArgument,
    event: EventOption,
    site: SiteOption,
    by: ByOption,
    reason: ReasonOption,
    zone: ZoneOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a claim be neither paid nor charged."""
    _decide(tables, zone, event=event, site=site, by=by, reason=reason, pay=False, as_json=as_json)


def estimates(tables: TablesArgument, zone: ZoneOption = None, as_json: JsonOption = False) -> None:
    """Show what was settled without a reading, and until when a reading still corrects it."""
    from cloud.shell.market.review import estimates as settled_on_estimates

    with opened(tables, as_json) as (store, registry):
        found = [row for one in zones_of(registry, zone, as_json) for row in settled_on_estimates(store, one.id)]
        times = [[local(registry, row["zone"], row[name]) for name in ("start", "final_at")] for row in found]
    if as_json:
        print_json({"estimates": found})
        return
    for row, (start, final_at) in zip(found, times, strict=True):
        tell(
            f"{row['zone']}  {start}  {row['site']}: {kwh(row['metered_wh'])} by {row['method']}, imbalance "
            f"{kwh(row['imbalance_wh'])}, {owes(row['imbalance_uct'])}; final at {final_at}"
        )
    tell(f"{len(found)} settlements stand on estimates")


def statement(
    month: Annotated[str, typer.Option(help="The local month, like 2026-11.")],
    tables: TablesOption = Path(),
    site: Annotated[str | None, typer.Option(help="Whose statement.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every site's.")] = False,
    zone: ZoneOption = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Every line as CSV.")] = False,
    pdf: Annotated[Path | None, typer.Option(help="Write it as a PDF.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a member bought, sold, owed and earned in a month, in EUR, kWh and local time."""
    from cloud.shell.market.statements import statements

    if (site is None) is not every:
        fail("a statement needs either --site S or --all", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    first = _month(month, as_json)
    with opened(tables, as_json) as (store, registry):
        zones = zones_of(registry, zone, as_json)
        if site is not None:
            record = registry.site(site)
            if record is None:
                fail(f"no site {site!r} in the registry", code="unknown", as_json=as_json, exit_code=BAD_INPUT)
            zones = [one for one in zones if one.id == record.zone]
        made = [one for record in zones for one in statements(store, record, month=first, site=site)]
    if pdf is not None:
        _write_pdf(pdf, made, as_json)
    if as_json:
        print_json({"statements": [one.answer() for one in made]})
    elif as_csv:
        sys.stdout.write(_csv(made))
    else:
        for one in made:
            tell("\n".join(_text(one)))
        if not made:
            tell(f"no site traded or was settled in {first:%Y-%m}")


def _decide(
    folder: Path, zone: str | None, *, event: str, site: str, by: str, reason: str, pay: bool, as_json: bool
) -> None:
    from cloud.market import commands
    from cloud.shell.market.review import waiting_claims
    from cloud.shell.skill_ports import beside

    with opened(folder, as_json, write=True) as (store, registry):
        waiting = [
            claim
            for one in zones_of(registry, zone, as_json)
            for claim in waiting_claims(store, one.id)
            if (claim["event"], claim["site"]) == (event, site)
        ]
        if not waiting:
            sentence = f"no claim of {site} for event {event} waits; nothing was decided"
            fail(sentence, code="unknown", as_json=as_json, event=event, site=site)
        at_ms = epoch_ms(datetime.now(UTC))
        for claim in waiting:
            command = commands.claim(event=event, site=site, approve=pay, by=by, reason=reason, at_ms=at_ms)
            beside(store, registry)(claim["zone"], command)
    if as_json:
        print_json({"event": event, "site": site, "approved": pay})
        return
    tell(f"{site}'s claim for {event} is {'approved' if pay else 'refused'} by {by}: {reason}")


def _month(text: str, as_json: bool) -> date:
    try:
        month = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
        if FIRST_YEAR <= month.year <= LAST_YEAR:
            return month
        raise ValueError(text)
    except ValueError:
        fail(f"month is {text!r}, not like 2026-11", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)


def _csv(made: "list[Statement]") -> str:
    from cloud.market.statement import COLUMNS

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["site", *COLUMNS])
    for one in made:
        for line in one.lines:
            answer = line.answer()
            writer.writerow([one.site, *("" if answer[name] is None else answer[name] for name in COLUMNS)])
    return out.getvalue()


def _text(one: "Statement") -> list[str]:
    """Return the statement's summary for a person: two decimals, who owes whom in words."""
    rows = [
        f"{one.site}, {one.month} ({one.zone})",
        f"  {'bought':<15} {_kwh(one.bought_wh)}  {_eur(one.bought_uct)}",
        f"  {'sold':<15} {_kwh(one.sold_wh)}  {_eur(-one.sold_uct)}",
        *(
            f"  {kind:<15} {_kwh(energy)}  {_eur(money)}"
            for kind, (energy, money) in sorted(one.by_kind.items())
            if kind != "trade"
        ),
        f"  {'owes' if one.total_uct >= 0 else 'receives':<15} {'':>14}  {_eur(abs(one.total_uct))}",
    ]
    if one.unsettled_intervals:
        rows.append(f"  of it for {one.unsettled_intervals} intervals not settled yet: {_eur(one.unsettled_uct)}")
    if one.plain_uct is not None and one.saved_uct is not None:
        what = "what is settled at the tariffs alone" if one.unsettled_intervals else "at the tariffs alone"
        rows.append(f"  {what}: {_eur(one.plain_uct)}; the market saved {_eur(one.saved_uct)}")
    if one.estimated:
        rows.append(f"  {one.estimated} of {one.intervals} intervals stand on estimates and may still change")
    return rows


def _kwh(energy_wh: int) -> str:
    return f"{kwh(energy_wh):>14}"


def _eur(amount_uct: int) -> str:
    return f"{eur(amount_uct):>14}"


def _write_pdf(path: Path, made: "list[Statement]", as_json: bool) -> None:
    from fpdf import FPDF

    document = FPDF()
    document.set_creation_date(datetime(2000, 1, 1, tzinfo=UTC))
    for one in made:
        document.add_page()
        document.set_font("courier", size=10)
        for row in [*_text(one), "", *_pdf_lines(one)]:
            document.cell(
                text=(row or " ").encode("latin-1", "replace").decode("latin-1"), new_x="LMARGIN", new_y="NEXT"
            )
    try:
        document.output(str(path))
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}", code="unwritable", as_json=as_json, exit_code=BAD_INPUT)


def _pdf_lines(one: "Statement") -> list[str]:
    rows: list[str] = []
    for line in one.lines:
        answer: dict[str, Any] = line.answer()
        price = "" if answer["price_mct_per_kwh"] is None else f"{answer['price_mct_per_kwh'] / 1000:.3f} ct"
        rows.append(f"{line.at:%d.%m. %H:%M} {line.kind:<15}{_kwh(line.energy_wh)} {price:>12}{_eur(line.money_uct)}")
    return rows
