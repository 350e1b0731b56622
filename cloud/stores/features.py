"""Which features are switched off: an AppConfig configuration on AWS, the file ``features.json`` here, in one form.

The form is ``{"weather": false}``: a feature that is not named is on, and one that nobody knows is refused. What cannot
be read is what it was before, so neither a broken file nor an absent service switches anything.

Source: AWS AppConfig user guide, "Retrieving configurations": StartConfigurationSession, GetLatestConfiguration, whose
token is good for one call and whose answer is empty where nothing is new.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, ValidationError

from cloud.errors import SetupError, StoreError
from contracts.features import Feature
from contracts.units import Flag

LOG: Final = logging.getLogger(__name__)
FEATURES_FILE: Final = "features.json"
APPCONFIG: Final = "appconfig:"
AGE_S_MAX: Final = 60.0


class Features(BaseModel):
    """The switches as they stand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weather: Flag = True
    plans: Flag = True

    @property
    def off(self) -> tuple[Feature, ...]:
        """Return what is switched off."""
        return tuple(each for each in Feature if not getattr(self, each.value))

    def switched(self, feature: Feature, *, on: bool) -> "Features":
        """Return the switches with one of them turned."""
        return self.model_copy(update={feature.value: on})

    def text(self) -> str:
        """Return what is kept."""
        return json.dumps(self.model_dump())


def features_of(text: str | bytes, *, where: str) -> Features:
    """Read switches; an empty text switches nothing off.

    Raises:
        SetupError: It is no such text, or names a feature that nobody knows.
    """
    try:
        return Features.model_validate_json(text) if text.strip() else Features()
    except (ValidationError, UnicodeDecodeError) as error:
        form = f'{{"NAME": false}} with {" or ".join(Feature)}'
        raise SetupError(f"features in {where} are not of the form {form}; unchanged") from error


class Switches:
    """The switches of a process, as they were at most a minute ago."""

    def __init__(self, read: Callable[[], Features | None], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Prepare; ``read`` returns ``None`` where nothing is new, and raises a ``CloudError`` where it cannot."""
        self._read = read
        self._monotonic = monotonic
        self._known = Features()
        self._read_s = float("-inf")

    def __call__(self) -> Features:
        """Return them, read again where they are old; what cannot be read stays as it was."""
        now_s = self._monotonic()
        if now_s - self._read_s >= AGE_S_MAX:
            self._read_s = now_s
            try:
                found = self._read()
            except (SetupError, StoreError) as error:
                LOG.warning("features not read again", extra={"error": str(error)})
            else:
                if found is not None and found != self._known:
                    LOG.warning("features switched", extra={"off": [*found.off]})
                    self._known = found
        return self._known


def in_file(path: Path) -> Switches:
    """Return the switches in a file; without one nothing is off."""

    def read() -> Features:
        try:
            return features_of(path.read_bytes(), where=str(path))
        except FileNotFoundError:
            return Features()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error

    return Switches(read)


def in_appconfig(place: str, *, client: Any) -> Switches:
    """Return the switches of a configuration, ``APPLICATION/ENVIRONMENT/PROFILE``."""
    application, environment, profile = place.split("/")
    session: dict[str, str] = {}

    def read() -> Features | None:
        try:
            if "token" not in session:
                begun = client.start_configuration_session(
                    ApplicationIdentifier=application,
                    EnvironmentIdentifier=environment,
                    ConfigurationProfileIdentifier=profile,
                )
                session["token"] = begun["InitialConfigurationToken"]
            answer = client.get_latest_configuration(ConfigurationToken=session.pop("token"))
            session["token"] = answer["NextPollConfigurationToken"]
            text = answer["Configuration"].read()
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"features of {place} cannot be read: {error}") from error
        return features_of(text, where=place) if text else None

    return Switches(read)


def named(environ: Mapping[str, str]) -> Callable[[], Features]:
    """Return the switches that ``SITEWATT_FEATURES`` names; a function without it has nothing that is switched."""
    place = environ.get("SITEWATT_FEATURES", "")
    if not place.startswith(APPCONFIG):
        return Features
    import boto3

    return in_appconfig(place.removeprefix(APPCONFIG), client=boto3.client("appconfigdata"))
