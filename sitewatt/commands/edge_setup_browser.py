"""``sitewatt edge setup --browser HOST:PORT``: the same dialogue, answered in a browser over TLS."""

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from contracts.clock import SystemClock
from contracts.reasons import file_reason_of
from edge.config import PageSection, SiteConfig
from edge.errors import ConfigError
from edge.setup.console import Console
from edge.setup.document import write_config
from edge.setup.summary import summary
from edge.site.page_names import page_names
from edge.web.certificate import page_certificate
from edge.web.conversation import Conversation, SetupStopped
from edge.web.setup_page import SetupServer, new_code
from sitewatt.output import tell

_HEARD_S = 30.0  # Real seconds for a browser to hear how it ended.
PORT_MAX = 65_535


def set_up_in_browser(listen: str, config: Path, dialogue: Callable[[Console], SiteConfig]) -> SiteConfig:
    """Serve the dialogue until its configuration is written.

    Raises:
        ConfigError: The address is none, the answers make no configuration, or nothing was to be written.
        OSError: The address is taken or none of this machine's, or the file cannot be written.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise ConfigError(f"--browser is {listen!r}, must be HOST:PORT, as 0.0.0.0:8443; nothing was written")
    conversation, code = Conversation(), new_code()
    names = page_names(PageSection(host=host))
    with tempfile.TemporaryDirectory() as folder:
        known = {"localhost", "127.0.0.1", "::1", *names}
        certificate = page_certificate(Path(folder), names=known, now=SystemClock().now())
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        tls.load_cert_chain(certificate.path)
        server = SetupServer((host, int(port)), conversation, code=code, tls=tls, names=names)
    own = socket.gethostname() if host in ("0.0.0.0", "::") else host
    tell(f"https://{own}:{server.server_address[1]}/ asks the questions; Ctrl-C ends it")
    tell(f"code {code}")
    tell(f"the browser warns once: compare SHA-256 {certificate.fingerprint}")
    serving = threading.Thread(target=server.serve_forever, name="set-up page", daemon=True)
    serving.start()
    try:
        return _converse(conversation, config, dialogue)
    finally:
        conversation.stop()
        server.shutdown()
        serving.join()
        server.server_close()


def _converse(conversation: Conversation, config: Path, dialogue: Callable[[Console], SiteConfig]) -> SiteConfig:
    try:
        made = dialogue(conversation)
        for line in summary(made):
            conversation.say(line)
        if not conversation.confirm(f"Write {config}", default=True):
            raise ConfigError("nothing was written, as asked")
        write_config(config, made)
    except SetupStopped as stopped:
        raise ConfigError(str(stopped)) from stopped
    except (ConfigError, OSError) as error:
        conversation.end(file_reason_of(error), failed=True)
        with contextlib.suppress(KeyboardInterrupt):
            conversation.until_heard(_HEARD_S)
        raise
    conversation.end(f"{config} is written. Next: sitewatt edge check --config {config}", failed=False)
    conversation.until_heard(_HEARD_S)
    return made
