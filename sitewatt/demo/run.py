"""Runs a neighbourhood from the first process to the report."""

import asyncio
import contextlib
import copy
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live

from cloud.infra.functions import ISSUER as STACK_ISSUER
from cloud.local.opening import IN_FILES, Servers, remember
from contracts.clock import ScaledClock, SteppedClock, scaled_clock
from firmware_sim.plant_config import PlantConfig
from sitewatt.demo import files, report
from sitewatt.demo.deployed import Deployed
from sitewatt.demo.history import write_history
from sitewatt.demo.neighbourhood import GATE_CLOSURE_S, Neighbourhood
from sitewatt.demo.page_server import DemoPage
from sitewatt.demo.page_state import POINTS_MAX, Stage, instant
from sitewatt.demo.processes import Child, Processes, ProcessFailed
from sitewatt.demo.view import render
from sitewatt.demo.watch import NeighbourhoodView, Watcher
from sitewatt.output import print_json

REFRESH_S = 0.5
PROGRESS_S = 4.0  # Nothing is silent for longer than five seconds.
# What the gateways handed over must reach the tables before the count.
# A cloud that stores nothing for so long is stuck.
DRAIN_STALL_S = 10.0
STACK_STALL_S = 120.0  # A function of a stack may take a minute, and the emulator calls one after the other.
DRAIN_LOOK_S = 0.5
MEMORY_BYTES_MIN = 512 * 1024 * 1024  # Of room in memory for the folder of a demonstration, which takes a twentieth.
STARTING_AT_ONCE = 4  # Interpreters that import at the same time on two cores only slow one another down.


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asked for."""

    duration_s: float
    speed: float
    headless: bool = False
    report: Path | None = None
    keep: Path | None = None
    as_json: bool = False
    embedded_broker: bool = False
    page: DemoPage | None = None
    servers: Servers = IN_FILES
    deployed: Deployed | None = None


async def run(place: Neighbourhood, options: Options) -> report.Report:
    """Run the neighbourhood for its duration, print the report and return it.

    Raises:
        ProcessFailed: A part did not start, or ended by itself.
    """
    with _folder(options.keep) as folder, ended_by_sigterm():
        processes = Processes(files.logs(folder))
        try:
            written = await _run(place, options, processes, folder)
        except BaseExceptionGroup as group:
            raise _cause(group) from None
        finally:
            await processes.stop_all()
    if options.page is not None:
        await asyncio.to_thread(options.page.end, written.as_dict())
    if options.report is not None:
        options.report.write_text(json.dumps(written.as_dict(), indent=2) + "\n", encoding="utf-8")
    if options.as_json:
        print_json(written.as_dict())
    else:
        Console().print(report.render(written))
    return written


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the part's failure that ended a group of tasks, or the group where it was something else."""
    failed, rest = group.split(ProcessFailed)
    if failed is None or rest is not None:
        return group
    leaf: BaseException = failed
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf


async def _run(place: Neighbourhood, options: Options, processes: Processes, folder: Path) -> report.Report:
    say = Narrator(options.page)
    async with (
        say.never_silent(processes.starting),
        _told_where_it_stopped(processes, quiet=options.as_json),
        started(
            place,
            processes,
            folder,
            speed=options.speed,
            say=say,
            embedded_broker=options.embedded_broker,
            servers=options.servers,
            deployed=options.deployed,
        ) as (clock, watcher),
    ):
        processes.all_started = True
        with told_in_part(place, watcher.view, clock, quiet=options.as_json):
            await _watch(place, options, clock, watcher, processes, say=say)
        say("stopping the gateways, draining what they sent")
        if options.page is not None:
            options.page.show({"stage": Stage.DRAINING.value})
        usage, sites = processes.usage(), report.sites(place, watcher.view)
        seen = copy.deepcopy(watcher.view)  # Of here: that gateways which are stopped are offline is no news.
        gateways = [site.id for site in place.sites] + [place.feeder.id]
        with told_in_part(place, seen, clock, quiet=options.as_json):
            await processes.stop(gateways)
            await drained(folder, place, say, stall_s=DRAIN_STALL_S if options.deployed is None else STACK_STALL_S)
    with told_in_part(place, seen, clock, quiet=options.as_json):
        await processes.stop(["cloud"])
        await processes.stop_all()
    return report.collect(place, folder, sites=sites, latency=watcher.view.latency, usage=usage)


@contextlib.contextmanager
def told_in_part(place: Neighbourhood, view: NeighbourhoodView, clock: ScaledClock, *, quiet: bool) -> Iterator[None]:
    """Print what was seen of a run that is ended within the block, by Ctrl-C or SIGTERM."""
    try:
        yield
    except asyncio.CancelledError:
        if not quiet:
            Console().print(report.render_partial(place, view, now=clock.now()))
        raise


@contextlib.asynccontextmanager
async def _told_where_it_stopped(processes: Processes, *, quiet: bool) -> AsyncIterator[None]:
    """Say how far a start had come that is interrupted; once all runs, the partial report says more."""
    try:
        yield
    except asyncio.CancelledError:
        if not processes.all_started and not quiet:
            Console().print(report.render_start(ready=processes.ready(), starting=processes.starting()))
        raise


class Narrator:
    """Says what a demonstration does, on standard error and on its page."""

    def __init__(self, page: DemoPage | None = None) -> None:
        self._page = page
        self._said_s = time.monotonic()

    def __call__(self, sentence: str) -> None:
        """Say a sentence now."""
        self._said_s = time.monotonic()
        if self._page is not None:
            self._page.say(sentence)
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()

    @contextlib.asynccontextmanager
    async def never_silent(self, starting: Callable[[], Sequence[str]]) -> AsyncIterator[None]:
        """Say every ``PROGRESS_S`` what is waited for, within the block, as long as anything is.

        Args:
            starting: Returns the names of the parts that are not ready yet.
        """

        async def tell() -> None:
            while True:
                await asyncio.sleep(max(0.1, self._said_s + PROGRESS_S - time.monotonic()))
                if time.monotonic() >= self._said_s + PROGRESS_S and (names := starting()):
                    self(f"still starting: {', '.join(names)}")

        teller = asyncio.create_task(tell(), name="say what is waited for")
        try:
            yield
        finally:
            teller.cancel()


@contextlib.asynccontextmanager
async def started(
    place: Neighbourhood,
    processes: Processes,
    folder: Path,
    *,
    speed: float,
    say: Callable[[str], None],
    embedded_broker: bool = False,
    plant: PlantConfig | None = None,
    servers: Servers = IN_FILES,
    deployed: Deployed | None = None,
    prepare: Callable[[Path], None] = lambda _: None,
    host: Callable[[str, ScaledClock], ScaledClock | SteppedClock] = lambda _, clock: clock,
) -> AsyncIterator[tuple[ScaledClock, Watcher]]:
    """Start every part in order; the clock runs from here on.

    Args:
        plant: What is simulated, where it is not simply the neighbourhood's own.
        servers: Where the cloud keeps what it does not keep in files.
        deployed: The stack that is the cloud, where none is run here.
        prepare: Changes the configurations in the folder before a process reads them.
        host: Returns the clock of a gateway's host.

    Raises:
        ProcessFailed: A part did not start.
    """
    broker_port = files.free_port()
    clock = scaled_clock(started_at=place.started_at, speed=speed)
    spec = clock.spec()
    files.write_plant(folder, plant or place.plant())
    broker, devices = await asyncio.gather(
        start_broker(processes, folder, port=broker_port, embedded=embedded_broker),
        processes.start(
            "plant", "firmware_sim", "--plant", str(files.plant(folder)), "--truth", str(files.truth(folder)),
            "--clock", spec,
        ),
    )  # fmt: skip
    say(f"broker {broker.ready.get('kind')} on port {broker_port}, simulated devices on their sockets")
    link = files.link_to(broker_port, embedded=broker.ready["kind"] == "amqtt")
    issuer = files.ISSUER if deployed is None else STACK_ISSUER
    files.write_configurations(folder, place, link=link, ports=devices.ready["ports"], issuer=issuer)
    if deployed is None:
        files.tell_servers(folder, servers)
    else:
        await asyncio.to_thread(deployed.register, folder)
        remember(files.tables(folder), deployed.servers)
    prepare(folder)
    write_history(folder, place)
    watcher = Watcher(port=broker_port, clock=clock, gate_closure_s=GATE_CLOSURE_S)
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(watcher.run(), name="listen to the broker")
        if deployed is None:
            await start_cloud(processes, folder, clock=clock)
        else:
            await deployed.start(processes, link=link, clock=clock)
        say("the cloud is running")
        await _start_gateways(place, processes, folder, lambda name: host(name, clock), say=say)
        say(f"{len(place.sites)} gateways and the feeder's are running")
        try:
            yield clock, watcher
        finally:
            listening.cancel()


async def start_broker(processes: Processes, folder: Path, *, port: int, embedded: bool = False) -> Child:
    """Start the broker, or start it again on what it kept."""
    more = ["--embedded"] if embedded else []
    return await processes.start(
        "broker", "cloud.local.broker", "--port", str(port), "--dir", str(folder / "broker"), *more
    )


async def start_cloud(processes: Processes, folder: Path, *, clock: ScaledClock) -> Child:
    """Start the cloud, or start it again on what it kept."""
    return await processes.start("cloud", "cloud.local", "--config", str(files.cloud(folder)), "--clock", clock.spec())


async def start_gateway(processes: Processes, folder: Path, name: str, *, clock: ScaledClock | SteppedClock) -> Child:
    """Start one gateway, or start it again on what it kept."""
    config = str(files.gateway(folder, name))
    return await processes.start(
        name, "edge", "run", "--config", config, "--clock", clock.spec(), "--log-level", "warning"
    )


async def _start_gateways(
    place: Neighbourhood,
    processes: Processes,
    folder: Path,
    host: Callable[[str], ScaledClock | SteppedClock],
    *,
    say: Callable[[str], None],
) -> None:
    turn = asyncio.Semaphore(STARTING_AT_ONCE)

    async def start(name: str) -> None:
        async with turn:
            await start_gateway(processes, folder, name, clock=host(name))
            say(f"the gateway of {name} is running")

    async with asyncio.TaskGroup() as tasks:
        for name in (place.feeder.id, *(site.id for site in place.sites)):
            tasks.create_task(start(name), name=f"start {name}")


async def _watch(
    place: Neighbourhood,
    options: Options,
    clock: ScaledClock,
    watcher: Watcher,
    processes: Processes,
    *,
    say: Callable[[str], None],
) -> None:
    """Show what happens until the duration is over.

    Raises:
        ProcessFailed: A process ended by itself.
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + options.duration_s - (clock.monotonic() / clock.speed)
    progress_s = loop.time()
    note_s, noted_s = max(REFRESH_S, options.duration_s / POINTS_MAX), float("-inf")
    with _live(options) as live:
        while (left_s := end_s - loop.time()) > 0:
            if ended := processes.ended():
                raise ProcessFailed(f"{ended[0].name} {ended[0].end}")
            if (page := options.page) is not None:
                now = clock.now()
                page.show(instant(watcher.view, place, now=now, speed=clock.speed, stage=Stage.RUNNING))
                if loop.time() >= noted_s + note_s:
                    noted_s = loop.time()
                    page.course.note(watcher.view, place, now=now)
            if live is not None:
                url = None if options.page is None else options.page.url
                room = live.console.size
                shown = render(watcher.view, place, now=clock.now(), speed=clock.speed, url=url, room=room)
                live.update(shown, refresh=True)
            elif loop.time() >= progress_s:
                progress_s += PROGRESS_S
                say(report.progress(watcher.view, now=clock.now(), left_s=left_s))
            await asyncio.sleep(min(REFRESH_S, left_s))


async def drained(
    folder: Path, place: Neighbourhood, say: Callable[[str], None], *, stall_s: float = DRAIN_STALL_S
) -> None:
    """Wait until the tables hold everything that the gateways handed over, as long as what is left grows less."""
    loop = asyncio.get_running_loop()
    least: int | None = None
    moved_s = said_s = loop.time()
    while (left := report.left_to_store(folder, place)) != 0 and loop.time() < moved_s + stall_s:
        if left is not None and (least is None or left < least):
            least, moved_s = left, loop.time()
        if left is not None and loop.time() >= said_s + PROGRESS_S:
            said_s = loop.time()
            say(f"draining: {left} messages are not stored yet")
        await asyncio.sleep(DRAIN_LOOK_S if left else 0)


@contextlib.contextmanager
def _live(options: Options) -> Iterator[Live | None]:
    if options.headless:
        yield None
        return
    with Live(auto_refresh=False, screen=False, transient=True) as live:
        yield live


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()  # The files in it name one another, and paths in them are beside the file.
        return
    folder = Path(tempfile.mkdtemp(prefix="sitewatt-demo-", dir=_fleeting()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fleeting() -> Path | None:
    """Return a folder in memory for what is thrown away at the end, ``None`` for the system's own place.

    A flush that takes 24 ms on a busy disk is most of a second in a time-lapse, and nothing here survives its run.
    """
    memory = Path("/dev/shm")
    if "TMPDIR" in os.environ or not os.access(memory, os.W_OK | os.X_OK):
        return None
    return memory if shutil.disk_usage(memory).free >= MEMORY_BYTES_MIN else None


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end what runs in this task as Ctrl-C does, with its processes and files."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
