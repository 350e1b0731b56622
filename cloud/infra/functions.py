"""The functions as the stack defines them, once, as data: what each one is given, and nothing else.

The grants are what the functions were seen to do while a neighbourhood ran, and what their code may do beside that.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cloud.stores.tables import Table
from contracts.topics import Broadcast, Down

ISSUER: Final = "grid-agent"  # Who signs commands.


class Bundle(StrEnum):
    """What is installed together: pyarrow for the lake alone, numpy and the solvers for market, grid and forecasts."""

    CORE = "core"
    LAKE = "lake"
    SOLVERS = "solvers"


@dataclass(frozen=True, kw_only=True)
class FunctionDefinition:
    """One Lambda function.

    Args:
        handler: Its module below ``cloud.handlers``.
        bundle: What it is installed with.
        reads: Tables that it reads and queries.
        writes: Tables that it writes, alone or in a transaction.
        speaks: Channels that it publishes on.
        lake: It writes raw samples.
        signs: It reads the key that commands are signed with.
        features: It reads what is switched off, and tells gateways.
        asks_internet: It asks providers, of weather for instance.
        memory_mb: Of memory, which the share of a processor follows.
        timeout_s: After which a call has failed.
    """

    handler: str
    bundle: Bundle = Bundle.CORE
    reads: tuple[Table, ...] = ()
    writes: tuple[Table, ...] = ()
    speaks: tuple[Down | Broadcast, ...] = ()
    lake: bool = False
    signs: bool = False
    features: bool = False
    asks_internet: bool = False
    memory_mb: int = 512
    timeout_s: int = 60

    @property
    def name(self) -> str:
        """Return the function's name without the deployment's prefix."""
        return self.handler.rpartition(".")[2].replace("_", "-")

    @property
    def entry(self) -> str:
        """Return what Lambda calls."""
        return f"{self.handler}.handler"


# Every function reads who takes part.
_REGISTRY: Final = (Table.GRID_METRICS,)
_MARKET: Final = (Table.MARKET_DATA, Table.TRADE_DATA)
_SITES: Final = (Table.ENERGY_METRICS, Table.PRODUCER_METRICS, Table.CONSUMER_METRICS)
_MARKET_SPEAKS: Final = (Down.TRADES, Broadcast.MARKET)
_GRID_SPEAKS: Final = (Down.COMMANDS, Broadcast.GRID)


def _market(handler: str, *also_writes: Table) -> FunctionDefinition:
    """Return a function that is the one writer of a zone's market for a while."""
    return FunctionDefinition(
        handler=handler,
        bundle=Bundle.SOLVERS,
        reads=(*_REGISTRY, Table.MARKET_DATA, Table.ENERGY_METRICS),
        writes=(*_MARKET, Table.ENERGY_METRICS, *also_writes),
        speaks=_MARKET_SPEAKS,
        memory_mb=1024,
    )


def _grid(handler: str) -> FunctionDefinition:
    """Return a function that is the grid agent of a feeder for a while: it commands, and claims what was delivered."""
    return FunctionDefinition(
        handler=handler,
        bundle=Bundle.SOLVERS,
        reads=(*_REGISTRY, Table.MARKET_DATA, Table.ENERGY_METRICS),
        writes=(*_MARKET, Table.GRID_METRICS, Table.ENERGY_METRICS),
        speaks=(*_GRID_SPEAKS, *_MARKET_SPEAKS),
        signs=True,
        memory_mb=1024,
    )


def _entry(handler: str, *reads: Table, acts: bool = False) -> FunctionDefinition:
    """Return a function behind the API that answers for skills; every call is recorded, what acts is journalled."""
    return FunctionDefinition(
        handler=handler,
        bundle=Bundle.SOLVERS,
        reads=(*_REGISTRY, Table.MARKET_DATA, *reads),
        writes=(Table.GRID_METRICS, *((*_MARKET, Table.ENERGY_METRICS) if acts else ())),
        memory_mb=1024,
        timeout_s=29,  # Source: API Gateway quotas, HTTP API integration timeout 30 s.
    )


# What the API asks, one answer a request.
ASKED: Final[tuple[FunctionDefinition, ...]] = (
    _entry("cloud.handlers.weather_forecast", Table.FORECAST_DATA),
    _entry("cloud.handlers.historical_data", Table.TRADE_DATA),
    _entry("cloud.handlers.trading_api", Table.TRADE_DATA, Table.ENERGY_METRICS, Table.FORECAST_DATA),
    _entry("cloud.handlers.grid_management", Table.ENERGY_METRICS),
    _entry("cloud.handlers.energy_trading_actions", Table.ENERGY_METRICS, acts=True),
)

FUNCTIONS: Final[tuple[FunctionDefinition, ...]] = (
    FunctionDefinition(
        handler="cloud.handlers.telemetry", reads=(*_REGISTRY, *_SITES), writes=(*_SITES, Table.GRID_METRICS)
    ),
    FunctionDefinition(
        handler="cloud.handlers.lake", bundle=Bundle.LAKE, reads=_REGISTRY, lake=True, memory_mb=1024, timeout_s=120
    ),
    _grid("cloud.handlers.grid"),
    _market("cloud.handlers.meter", Table.GRID_METRICS),  # What a feeder carries beside its sites.
    _market("cloud.handlers.orders"),
    _grid("cloud.handlers.acks"),
    FunctionDefinition(
        handler="cloud.handlers.events", reads=(*_REGISTRY, Table.ENERGY_METRICS), writes=(Table.ENERGY_METRICS,)
    ),
    FunctionDefinition(
        handler="cloud.handlers.status",
        bundle=Bundle.SOLVERS,
        reads=(*_REGISTRY, *_MARKET, Table.ENERGY_METRICS),
        writes=(Table.ENERGY_METRICS,),
        speaks=(Down.TRADES,),
    ),
    _market("cloud.handlers.market_tick"),
    FunctionDefinition(
        handler="cloud.handlers.forecast_tick",
        bundle=Bundle.SOLVERS,
        reads=(*_REGISTRY, *_SITES, Table.FORECAST_DATA, Table.MARKET_DATA),
        writes=(Table.FORECAST_DATA,),
        speaks=(Broadcast.FORECAST, Down.OUTLOOK),
        features=True,
        asks_internet=True,
        memory_mb=1024,
        timeout_s=300,
    ),
    _grid("cloud.handlers.grid_tick"),
    FunctionDefinition(
        handler="cloud.handlers.provisioning_hook",
        reads=(Table.GRID_METRICS,),
        writes=(Table.GRID_METRICS,),
        timeout_s=5,  # Source: AWS IoT Core developer guide, pre-provisioning hooks.
    ),
    *ASKED,
)
