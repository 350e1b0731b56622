"""The sharing of one product: made from its meters, posted as positions and money, made anew with a later reading."""

from cloud.market.ledger import Entry, Kind
from cloud.market.sharing import Share, allocate
from cloud.market.state import Outcome, Product, State


def share(state: State, product: Product, out: Outcome) -> bool:
    """Share a product's energy by its readings, in place of what was shared before; return whether anything changed."""
    rules = state.rules.sharing
    if rules is None:
        return False
    read = {site: meter.net_wh for site, meter in product.meters.items() if not meter.estimated}
    shares = allocate(rules, read)
    if shares == product.shares:
        return False
    for one in product.shares:
        _post(state, product, out, one, price_mct_per_kwh=product.price or 0, sign=-1)
    for one in shares:
        _post(state, product, out, one, price_mct_per_kwh=rules.price_mct_per_kwh, sign=1)
    product.shares = shares
    product.price = rules.price_mct_per_kwh if shares else None
    product.volume_wh = sum(one.energy_wh for one in shares)
    return True


def _post(state: State, product: Product, out: Outcome, one: Share, *, price_mct_per_kwh: int, sign: int) -> None:
    """Post a share to both positions and accounts; with the sign -1 it is taken back."""
    energy_wh = sign * one.energy_wh
    money_uct = energy_wh * price_mct_per_kwh
    buyer, seller = (product.position(state.accounts[site]) for site in (one.buyer, one.seller))
    buyer.bought_wh += energy_wh
    buyer.trades_uct += money_uct
    seller.sold_wh += energy_wh
    seller.trades_uct -= money_uct
    out.lines += state.ledger.post(
        Kind.SHARE,
        (Entry(one.buyer, money_uct, energy_wh), Entry(one.seller, -money_uct, -energy_wh)),
        interval_ms=product.start_ms,
        reference=f"{one.buyer} from {one.seller}",
        rules_version=state.rules.version,
    )
