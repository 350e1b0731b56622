"""``python -m cloud.local.stack_front --stack NAME --endpoint URL --broker URL …``: parse arguments, run."""

import argparse
import asyncio
import logging
import sys

from cloud.errors import CloudError, SetupError
from cloud.infra.deployment.account import Account
from cloud.infra.deployment.registration import registered
from cloud.local.config import BrokerSettings
from cloud.local.lifetime import end_process, exit_code_of
from cloud.local.logs import FieldFormatter
from cloud.local.stack_front.front import FrontSettings, run
from contracts.clock import parse_clock


def main() -> int:
    """Stand before a stack; 0 when told to stop, 1 when a store failed, 2 when it cannot be set up."""
    parser = argparse.ArgumentParser(prog="python -m cloud.local.stack_front", description=__doc__)
    parser.add_argument("--stack", required=True, help="the stack's name")
    parser.add_argument("--region", required=True, help="its Region")
    parser.add_argument("--endpoint", required=True, metavar="URL", help="the emulator's address")
    parser.add_argument("--broker", required=True, metavar="URL", help="mqtt://HOST:PORT, where gateways are")
    parser.add_argument("--protocol", default="5", choices=("3.1.1", "5"), help="what the broker speaks")
    parser.add_argument("--clock", default=None, metavar="SPEC", help="INSTANT@ORIGINxSPEED; real time without it")
    parser.add_argument("--parent-pid", type=int, default=None, help="end when this process is no longer our parent")
    arguments = parser.parse_args()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        account = Account(stack=arguments.stack, region=arguments.region, endpoint=arguments.endpoint)
        registry = registered(account)
        if registry is None:
            raise SetupError(f"nobody is registered in stack {account.stack}; nothing is carried")
        broker = BrokerSettings(url=arguments.broker, protocol=arguments.protocol)
        settings = FrontSettings(account=account, broker=broker, registry=registry)
        asyncio.run(run(settings, clock=parse_clock(arguments.clock), parent_pid=arguments.parent_pid))
    except (ExceptionGroup, CloudError, ValueError) as raised:
        return exit_code_of(raised)
    return 0


if __name__ == "__main__":
    # A call that still runs in its thread is left to the function.
    end_process(main, failed="the stack's front failed")
