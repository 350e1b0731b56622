"""`sitewatt agent serve --aws` over tables that moto plays: python -m tests.support.cloud.doors_on_moto OPTION..."""

import contextlib
import sys
import tempfile
from pathlib import Path

from cloud.stores.parquet import FolderLake
from cloud.stores.registry import save_registry
from cloud.stores.setup import Stores
from sitewatt.commands.agent import app
from tests.support.cloud.aws import PREFIX, aws_account
from tests.support.cloud.sites import Recorder, build_house
from tests.support.market.shell import run_events, story

if __name__ == "__main__":
    with aws_account() as tables, tempfile.TemporaryDirectory() as folder:
        services = build_house(Stores(tables=tables, lake=FolderLake(Path(folder))), Recorder())
        save_registry(tables, services.registry)
        with contextlib.redirect_stdout(sys.stderr):  # Where functions count; the address comes first on ours.
            run_events(services, story())
        app(["serve", "--aws", "--name", PREFIX.rstrip("-"), *sys.argv[1:]])
