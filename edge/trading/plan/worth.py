"""What stored energy is worth where the coming days may come in several ways, and what to do now by it.

Of one way that the days may come, the best use of one storage is found exactly and without a solver. Each interval
offers four uses of energy, each with a price and an amount: charging from the grid, charging what would be fed in,
serving the need, feeding in. Stored energy goes to the dearest uses first. So, from the end backwards, the uses of an
interval are sorted into the list of uses to come; what can be charged in it falls off the dear end (with more stored
it would not have been charged), and what can be given falls off the cheap end.

The mean over all ways is what a further stored kWh is worth before it is known which of them comes.
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

from edge.trading.plan.problem import Action, Connection, PlanInterval, Problem, Scenario, Store

# Into so many parts the storage is divided where the ways are averaged.
PARTS = 100
_LEAST_WH = 1e-6


def hedged(problem: Problem, planned: Sequence[Action], *, tie_break_mct_per_kwh: float) -> tuple[float, ...] | None:
    """Return what each store shall do in the present interval, ``None`` where the plan's own answer stands.

    It stands without scenarios, and where more than energy decides: a peak's price, a target, a ramp.
    """
    stores, connection = problem.stores, problem.connection
    end = problem.intervals[-1].end
    if not stores or not problem.scenarios or connection.peak_mct_per_kw > 0:
        return None
    if any(each.ramp_w_max is not None or (each.target_at is not None and each.target_at <= end) for each in stores):
        return None
    store = together(stores)
    ways = [_with_loads(way, planned) for way in problem.scenarios]
    worth = mean_worth(
        store,
        problem.intervals[1:],
        ways=[Scenario(load_wh=way.load_wh[1:], pv_wh=way.pv_wh[1:]) for way in ways],
        connection=connection,
        end_mct_per_kwh=problem.end_mct_per_kwh,
        tie_break_mct_per_kwh=tie_break_mct_per_kwh,
    )
    present = problem.intervals[0]
    net_wh = present.net_wh + sum(planned[0].load_wh)
    moved_wh = best_move(store, present, net_wh=net_wh, pv_wh=present.pv_wh, connection=connection, worth=worth)
    return _shared(moved_wh, stores, present.hours)


def together(stores: Sequence[Store]) -> Store:
    """Return several stores as one; what may not be touched of each is left out."""
    floors = [max(each.stored_wh_min, each.reserve_wh) for each in stores]
    window_wh = sum(max(0.0, each.stored_wh_max - floor_wh) for each, floor_wh in zip(stores, floors, strict=True))
    stored_wh = sum(max(0.0, each.stored_wh - floor_wh) for each, floor_wh in zip(stores, floors, strict=True))
    count = len(stores)
    return Store(
        id="all",
        capacity_wh=window_wh,
        charge_w_max=sum(each.charge_w_max for each in stores),
        discharge_w_max=sum(each.discharge_w_max for each in stores),
        stored_wh=min(stored_wh, window_wh),
        stored_wh_max=window_wh,
        charge_efficiency=sum(each.charge_efficiency for each in stores) / count,
        discharge_efficiency=sum(each.discharge_efficiency for each in stores) / count,
        wear_mct_per_kwh=max(each.wear_mct_per_kwh for each in stores),
    )


def mean_worth(
    store: Store,
    intervals: Sequence[PlanInterval],
    *,
    ways: Sequence[Scenario],
    connection: Connection,
    end_mct_per_kwh: float,
    tie_break_mct_per_kwh: float = 0.0,
) -> list[float]:
    """Return what a further kWh in each of ``PARTS`` equal parts of the storage is worth before the intervals, in mct.

    Args:
        store: Its window from zero to ``capacity_wh``.
        intervals: To come; their prices hold in each way.
        ways: How load and generation may come in them, each as likely.
        connection: Bounds on what is taken and given.
        end_mct_per_kwh: What a kWh that can still be given after them is worth.
        tie_break_mct_per_kwh: How much moving early is preferred, over all intervals.
    """
    total = [0.0] * PARTS
    count = len(intervals)
    chances = [
        _chance(store, interval, connection=connection, tie_mct_per_kwh=tie_break_mct_per_kwh * index / count)
        for index, interval in enumerate(intervals)
    ]
    for way in ways:
        uses = _uses(store, chances, way, end_mct_per_kwh=end_mct_per_kwh)
        part_wh, part, room_wh = store.capacity_wh / PARTS, 0, store.capacity_wh / PARTS
        for worth, amount_wh in uses:
            left_wh = amount_wh
            while left_wh > _LEAST_WH and part < PARTS:
                taken_wh = min(left_wh, room_wh)
                total[part] += worth * taken_wh / part_wh
                left_wh -= taken_wh
                room_wh -= taken_wh
                if room_wh <= _LEAST_WH:
                    part, room_wh = part + 1, part_wh
    return [each / len(ways) for each in total]


def _uses(
    store: Store, chances: Sequence["_Chance"], way: Scenario, *, end_mct_per_kwh: float
) -> list[tuple[float, float]]:
    """Return what the stored energy is used for if the days come in one way: worth per kWh and Wh, the dearest first.

    The amounts sum up to the storage's capacity.
    """
    # Kept with the sign of the worth turned, since lists are sorted from the least.
    uses = [(-end_mct_per_kwh * store.discharge_efficiency, store.capacity_wh)]
    for index in range(len(chances) - 1, -1, -1):
        pv_wh = way.pv_wh[index]
        charging, giving = chances[index].offers(net_wh=way.load_wh[index] + pv_wh, pv_wh=pv_wh)
        for worth, amount_wh in charging:
            insort(uses, (-worth, amount_wh))
        for worth, amount_wh in giving:
            insort(uses, (-worth, amount_wh))
        _take_off(uses, sum([amount_wh for _, amount_wh in charging]), dearest=True)
        _take_off(uses, sum([amount_wh for _, amount_wh in giving]), dearest=False)
    return [(-negative, amount_wh) for negative, amount_wh in uses]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chance:
    """What an interval allows and what that is worth, the same in each way that it may come.

    Energies at the terminals, prices in mct by stored kWh.
    """

    charge_wh_max: float
    give_wh_max: float
    import_wh_max: float
    export_wh_max: float
    grid_charging: bool
    grid_discharging: bool
    into: float
    out_of: float
    unused: float
    unsold: float
    bought: float
    served: float
    sold: float

    def offers(self, *, net_wh: float, pv_wh: float) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Return what charging costs, the cheapest first, and what giving brings, the dearest first.

        Each is a price by stored kWh and its Wh. Above what may be fed in, generation would be left unused and costs
        nothing to store; so does what would be fed in at a price below zero, where generation can be reduced.
        """
        charging: list[tuple[float, float]] = []
        giving: list[tuple[float, float]] = []
        surplus_wh = min(max(0.0, -net_wh), self.charge_wh_max)
        need_wh = min(max(0.0, net_wh), self.give_wh_max)
        if surplus_wh > 0.0:
            unused_wh = min(surplus_wh, max(0.0, min(-net_wh - self.export_wh_max, -pv_wh)))
            _offer(charging, self.unused, unused_wh * self.into)
            _offer(charging, self.unsold, (surplus_wh - unused_wh) * self.into)
        if self.grid_charging:
            room_wh = max(0.0, self.import_wh_max - max(0.0, net_wh))
            _offer(charging, self.bought, min(self.charge_wh_max - surplus_wh, room_wh) * self.into)
        _offer(giving, self.served, need_wh / self.out_of)
        if self.grid_discharging:
            room_wh = max(0.0, self.export_wh_max - max(0.0, -net_wh))
            _offer(giving, self.sold, min(self.give_wh_max - need_wh, room_wh) / self.out_of)
        return charging, giving


def _offer(offers: list[tuple[float, float]], worth: float, amount_wh: float) -> None:
    if amount_wh > _LEAST_WH:
        offers.append((worth, amount_wh))


def _chance(store: Store, interval: PlanInterval, *, connection: Connection, tie_mct_per_kwh: float = 0.0) -> _Chance:
    """Return what an interval allows a store, and what that is worth."""
    into, out_of, wear = store.charge_efficiency, store.discharge_efficiency, store.wear_mct_per_kwh
    buy, sell = interval.buy_mct_per_kwh, interval.sell_mct_per_kwh
    unsold = max(0.0, sell) if connection.curtailable else sell
    return _Chance(
        charge_wh_max=store.charge_w_max * interval.hours,
        give_wh_max=store.discharge_w_max * interval.hours,
        import_wh_max=connection.import_wh_max(interval),
        export_wh_max=connection.export_wh_max(interval),
        grid_charging=connection.grid_charging,
        grid_discharging=connection.grid_discharging,
        into=into,
        out_of=out_of,
        unused=tie_mct_per_kwh / into,
        unsold=(unsold + tie_mct_per_kwh) / into,
        bought=(buy + tie_mct_per_kwh) / into,
        served=(buy - wear - tie_mct_per_kwh) * out_of,
        sold=(sell - wear - tie_mct_per_kwh) * out_of,
    )


def _take_off(uses: list[tuple[float, float]], amount_wh: float, *, dearest: bool) -> None:
    """Take an amount off one end of the list."""
    end = 0 if dearest else -1
    while uses and amount_wh > _LEAST_WH:
        worth, held_wh = uses[end]
        if held_wh > amount_wh:
            uses[end] = (worth, held_wh - amount_wh)
            return
        amount_wh -= held_wh
        uses.pop(end)


def best_move(
    store: Store,
    present: PlanInterval,
    *,
    net_wh: float,
    pv_wh: float,
    connection: Connection,
    worth: Sequence[float],
) -> float:
    """Return what a store best takes (positive) or gives now, in Wh at its terminals.

    It takes as long as what is stored is worth more than it costs, else gives as long as giving brings more.

    Args:
        store: Its window from zero to ``capacity_wh``.
        present: The interval.
        net_wh: What the site takes in it without storage.
        pv_wh: Its generation, zero or less.
        connection: Bounds on what is taken and given.
        worth: By ``mean_worth``, after the interval.
    """
    charging, giving = _chance(store, present, connection=connection).offers(net_wh=net_wh, pv_wh=pv_wh)
    part_wh = store.capacity_wh / PARTS
    if part_wh <= 0:
        return 0.0
    stored_wh = store.stored_wh
    for cost, amount_wh in charging:
        end_wh = min(store.capacity_wh, stored_wh + amount_wh)
        while stored_wh < end_wh - _LEAST_WH:
            part = min(int(stored_wh / part_wh + 1e-9), PARTS - 1)
            if worth[part] <= cost:
                return (stored_wh - store.stored_wh) / store.charge_efficiency or _given(store, giving, worth)
            stored_wh = min(end_wh, (part + 1) * part_wh)
    return (stored_wh - store.stored_wh) / store.charge_efficiency or _given(store, giving, worth)


def _given(store: Store, giving: Sequence[tuple[float, float]], worth: Sequence[float]) -> float:
    part_wh = store.capacity_wh / PARTS
    stored_wh = store.stored_wh
    for gain, amount_wh in giving:
        end_wh = max(0.0, stored_wh - amount_wh)
        while stored_wh > end_wh + _LEAST_WH:
            part = max(0, min(int(-(-(stored_wh / part_wh - 1e-9) // 1)) - 1, PARTS - 1))
            if worth[part] >= gain:
                return (stored_wh - store.stored_wh) * store.discharge_efficiency
            stored_wh = max(end_wh, part * part_wh)
    return (stored_wh - store.stored_wh) * store.discharge_efficiency


def _with_loads(way: Scenario, planned: Sequence[Action]) -> Scenario:
    """Return a way with what the plan has its loads take in it."""
    if not any(action.load_wh for action in planned):
        return way
    loads = tuple(load_wh + sum(action.load_wh) for load_wh, action in zip(way.load_wh, planned, strict=True))
    return Scenario(load_wh=loads, pv_wh=way.pv_wh)


def _shared(moved_wh: float, stores: Sequence[Store], hours: float) -> tuple[float, ...]:
    """Return what each store does of what they do together, in their order."""
    found = []
    for store in stores:
        if moved_wh > 0:
            room_wh = max(0.0, store.stored_wh_max - store.stored_wh) / store.charge_efficiency
            found.append(min(moved_wh, store.charge_w_max * hours, room_wh))
        else:
            floor_wh = max(store.stored_wh_min, store.reserve_wh)
            available_wh = max(0.0, store.stored_wh - floor_wh) * store.discharge_efficiency
            found.append(-min(-moved_wh, store.discharge_w_max * hours, available_wh))
        moved_wh -= found[-1]
    return tuple(found)
