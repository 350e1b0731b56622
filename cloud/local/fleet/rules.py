"""The broker's rules, written anew whenever a certificate changes: for each certificate what the policy grants it.

Both are rendered from the same grants (``cloud.infra.fleet``), but for provisioning: there each certificate has topics
of its own, so that nobody hears another's answers. What mosquitto's rules cannot say is that only the status may be
retained; that a client id is its certificate's stands in the broker's configuration.
"""

from collections.abc import Sequence
from pathlib import Path

from cloud.infra.fleet import CSR_TOPIC, FLEET_GRANTS, REGISTER_TOPIC, Grant, Way, filters_of
from cloud.local.fleet.authority import LocalAuthority
from cloud.local.fleet.book import Book, Certificate, CertificateState, Thing
from cloud.stores.private_files import write_private
from contracts.topics import provisioning_topic


def access_rules(book: Book) -> str:
    """Return mosquitto's access rules for all certificates; one that is pending or revoked may do nothing.

    Source: mosquitto.conf(5), ``acl_file``; the user name is the certificate's common name, which is its id.
    """
    things = {thing.name: thing for thing in book.things()}
    blocks = [lines for one in book.certificates() if (lines := _block(one, things))]
    return "\n".join("\n".join(block) for block in blocks) + "\n"


def write_fences(book: Book, authority: LocalAuthority, rules_path: Path) -> bool:
    """Write the rules and the list of revoked certificates, and return whether the broker has to read them again."""
    rules = access_rules(book)
    revoked = [one.serial_number for one in book.certificates() if one.state is CertificateState.REVOKED]
    # The list's own bytes differ with every signing, so the numbers in it stand in the rules, as a remark.
    content = f"# revoked: {' '.join(sorted(revoked))}\n{rules}"
    if rules_path.exists() and rules_path.read_text() == content and authority.revocation_path.exists():
        return False
    authority.revoke(int(number) for number in revoked)
    write_private(rules_path, content.encode())
    return True


def _block(certificate: Certificate, things: dict[str, Thing]) -> list[str]:
    if certificate.state is CertificateState.CLAIM:
        return [f"user {certificate.id}", *_provisioning(certificate.id)]
    thing = things.get(certificate.thing or "")
    if certificate.state is not CertificateState.ACTIVE or thing is None:
        return []
    own = _lines(FLEET_GRANTS, thing=thing.name, zone=thing.zone)
    return [f"user {certificate.id}", *own, *_provisioning(certificate.id)]


def _provisioning(certificate_id: str) -> list[str]:
    topics = [provisioning_topic(topic, certificate_id=certificate_id) for topic in (CSR_TOPIC, REGISTER_TOPIC)]
    return [line for topic in topics for line in (f"topic write {topic}", f"topic read {topic}/#")]


def _lines(grants: Sequence[Grant], *, thing: str, zone: str) -> list[str]:
    words = {Way.SEND: "write", Way.HEAR: "read"}
    return [
        f"topic {word} {each}"
        for way, word in words.items()
        for each in filters_of(tuple(grants), way, thing=thing, zone=zone)
    ]
