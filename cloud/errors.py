"""The tree of the cloud's errors.

CloudError
├── StoreError         the table or the file failed; try again
│   └── ConditionFailed   somebody else was first; read again, then decide
├── PublishError       the broker did not take a message; try again
├── JournalStuck       an entry of a market's journal cannot be applied; it must be voided (``sitewatt cloud journal``)
├── ProviderError      a provider of prices or weather did not answer as documented; its data are replaced, said so
├── FleetDenied        the fleet service says no to a request; asking again will not help
├── SkillError         an agent was asked for what it does not do, or with other arguments; ask differently
│   ├── SkillDenied       the caller may not; another grant would help
│   ├── SkillMissing      what the question names (a zone, a site, an event) is not there
│   └── CallConflict      an idempotency key was used before, for something else or without an end; use a new one
├── DeployError        AWS refused, or did not finish, a change of the stack; the message says why
├── Undelivered, Refused  a letter to another organisation's agent: try again, or not (``cloud.doors.courier``)
├── CardDistrusted     a peer's card is signed by no key that is trusted; a person decides (``cloud.doors.card_trust``)
├── ModelError         a language model gave no turn; the product goes on without it
└── SetupError         the environment of a function is incomplete; waiting does not help
"""


class CloudError(Exception):
    """Root of what the cloud raises itself."""


class StoreError(CloudError):
    """A store could not read or write."""


class ConditionFailed(StoreError):
    """A conditional write found another state than the caller expected; nothing was written."""


class Unstorable(StoreError):
    """The store can never take this value, however often it is asked; nothing was written."""


class PublishError(CloudError):
    """A message to a site was not taken by the broker."""


class JournalStuck(CloudError):
    """An entry of a market's journal cannot be applied; nothing behind it can, until it is voided."""


class SetupError(CloudError):
    """A function lacks a setting."""


class SkillError(CloudError):
    """An agent has no such skill, or was asked with arguments that it does not take; nothing was done."""


class SkillDenied(SkillError):
    """The caller has no right to what was asked; nothing was done."""


class SkillMissing(SkillError):
    """What a question names is not there, or has not begun."""


class CallConflict(SkillError):
    """An idempotency key stands for another question, or for a call whose end is not known; nothing was done now."""


class ProviderError(CloudError):
    """A provider on the internet gave no usable answer; ``retry_after_s`` is how long it asks us to wait.

    ``absent`` says that it answered: nothing of the kind is published (404).
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0, absent: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.absent = absent


class DeployError(CloudError):
    """A change of the stack on AWS was refused or did not come to its end."""


class ModelError(CloudError):
    """A language model gave no turn; ``stop`` is the word for why."""

    def __init__(self, message: str, *, stop: str) -> None:
        super().__init__(message)
        self.stop = stop


class FleetDenied(CloudError):
    """The fleet service refuses a request; ``code`` is its own word for why. Nothing was done."""

    def __init__(self, message: str, *, code: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
