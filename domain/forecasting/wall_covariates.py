"""What is known in advance, laid on the clock on the wall as the history beside it is."""

from datetime import tzinfo

import numpy as np

from domain.calendar.wall import to_wall
from domain.forecasting.blend import Covariates
from domain.forecasting.series import Series


def covariates_to_wall(covariates: Covariates, clock: tzinfo, *, step_s: int) -> Covariates:
    """Return covariates of UTC over steps of a clock, stamped as if the clock were UTC."""
    columns = [
        to_wall(Series(start=covariates.start, step_s=step_s, values=column), clock) for column in covariates.values.T
    ]
    return Covariates(start=columns[0].start, values=np.stack([one.values for one in columns], axis=1))
