"""One line for every command, and the files that the lines name."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import yaml

from cloud.stores.registry import save_registry
from sitewatt.operator.keys import make_key
from tests.support.cloud.sites import ZONE, house_in, registry_data

ROOT = Path(__file__).parents[2]

# Every command with arguments that lead into it, most of them to an end that its user meets every day. What serves
# until it is stopped gets what it refuses.
LINES: Final = """
demo --headless
plan --load {load} --site {site} --days 1 --policy rule
edge setup --yes --config {folder}/new.yaml
edge check --offline --config {site}
edge run --config {site}
edge status --config {site}
edge history --config {site}
edge plan --config {site}
edge lock --config {site}
edge unlock --config {site}
edge page password --config {site}
edge page certificate --config {site}
device scan {meter}
device identify {meter}
device read {meter} --profile eastron_sdm630 --point frequency
device dump {meter} {folder}/dump.json --profile eastron_sdm630
device write {meter} --profile eastron_sdm630 --point frequency --value 1
device plan --profile eastron_sdm630
device decode --profile eastron_sdm630 --registers 30001:1
device encode --profile alfen_eve --point max_current --value 10
profile new fresh --csv {load} --out {folder}/fresh.yaml
profile list
profile show eastron_sdm630
profile check eastron_sdm630
sim swarm --seed 1
sim station --url ws://{nobody}/x --password-file {folder}/none
sim run {folder}/none.yaml
sim device --profile-like none
sim replay {folder}/none.json
fleet provision --endpoint {nobody} --claim-dir {folder} --state {folder}
fleet status --state {folder}
fleet documents --region eu-central-1 --account 123456789012
fleet list --local {cloud}
fleet show farm --local {cloud}
fleet rotate farm --local {cloud}
fleet update farm --version 1.0.0 --artefact {load} --url https://x.example/a --key {key} --local {cloud}
fleet sign --version 1.0.0 --artefact {load} --url https://x.example/a --key {key}
fleet set farm live_s=1 --local {cloud}
fleet decommission farm --yes --local {cloud}
fleet claim create --serial S1 --site farm --zone {zone} --out {folder}/claim --local {cloud}
fleet claim revoke abc --local {cloud}
command evidence event-1 --tables {cloud} --site farm
command send farm limit_import --broker mqtt://{nobody} --zone {zone} --key {key} --issuer me --max-w 1 --timeout 1
command release 00000000-0000-0000-0000-000000000000 --broker mqtt://{nobody} --key {key}
command list --key {key}
command watch --broker mqtt://{nobody} --zone {zone} --for 1s
command keys new {folder}/new-key
command keys show {key}
command keys trust {key} --issuer me --role owner
market estimates {cloud}
market statement --month 2026-03 --tables {cloud} --all
market clear {orders}
market run {folder}/none.jsonl
market settle {folder}/none.json
market share {folder}/none.yaml
market replay {folder}/none.jsonl
market status --tables {cloud}
market baseline {folder}/none.json
market report {folder}/none.jsonl
market simulate --agents 4 --intervals 1
market claims list {cloud}
market claims approve {cloud} --event e --site farm --by me --reason reason
market claims refuse {cloud} --event e --site farm --by me --reason reason
market readings list {cloud}
market readings release {cloud} --site farm --start 2026-03-17T12:00:00Z --by me --reason reason
market rules show {cloud}
market rules move {cloud} --zone {zone} --by me --reason reason
forecast run {load} --kind load
forecast backtest {load} --kind load --days 1
forecast report {load} --kind load --days 1
tariff list
tariff show flat
tariff check flat
tariff price flat
cloud synth --account 1 --out {folder}/stack
cloud bundle --out {folder}/bundles --only none
cloud deploy --bundles {folder}/none
cloud register --registry {folder}/none.yaml
cloud status --endpoint http://{nobody} --region eu-central-1
cloud destroy --yes --endpoint http://{nobody} --region eu-central-1
cloud features --folder {folder}
cloud backup --config {settings} --out {folder}/backup
cloud restore --config {settings} --from {folder}/backup
cloud export --site farm --out {folder}/export --config {settings}
cloud erase --site farm --yes --config {settings}
cloud page --tables {cloud} --cert {folder}/none --key {folder}/none
cloud local --config {settings}
cloud report --config {settings}
cloud cost --sites 10
cloud set-aside list --config {settings}
cloud set-aside show 1 --config {settings}
cloud set-aside replay 1 --config {settings}
cloud set-aside drop 1 --config {settings}
cloud journal void {zone} 2 --reason reason --config {settings}
agent tell market_health --tables {cloud} --peers {folder}/none.yaml --zone {zone}
agent letters --tables {cloud}
agent report --tables {cloud} --day 2026-03-17 --zone {zone}
agent list
agent call market_health --tables {cloud} --arg zone={zone}
agent serve --tables {cloud} --cert {folder}/none --key {folder}/none
agent ask why --tables {cloud}
agent token me --role operator
""".strip().splitlines()


def made_in(folder: Path) -> dict[str, str]:
    """Make what the lines name in a folder and return each under its name; nobody answers where the meter is."""
    key, load, site, settings, orders = (folder / name for name in ("key", "load.csv", "site.yaml", "c.yaml", "o.json"))
    make_key(key)
    start = datetime(2026, 6, 1, tzinfo=UTC)
    rows = (f"{(start + timedelta(minutes=15 * step)).isoformat()},{400 + abs(48 - step % 96)}" for step in range(1536))
    load.write_text("time,load_w\n" + "\n".join(rows) + "\n")
    site.write_text((ROOT / "docs/plants/house-site.yaml").read_text().replace("/tmp/sitewatt-house", "state"))
    orders.write_text(
        json.dumps({"orders": [{"id": "b", "agent": "a", "side": "buy", "qty": 1, "price": 9, "seq": 1}]})
    )
    with house_in(folder / "cloud") as (services, _):
        save_registry(services.stores.tables, services.registry)
    cloud = {"broker": {"url": "mqtt://127.0.0.1:9"}, "folder": "cloud", "signing": {"key_file": "key"}}
    settings.write_text(yaml.safe_dump({**cloud, "registry": registry_data()}))
    names = {
        "folder": folder, "key": key, "load": load, "site": site, "settings": settings, "orders": orders,
        "cloud": folder / "cloud", "zone": ZONE, "nobody": "127.0.0.1:9", "meter": "127.0.0.1:9",
    }  # fmt: skip
    return {name: str(value) for name, value in names.items()}
