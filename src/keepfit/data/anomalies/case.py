"""Case: the data held against a Schema, with all that is known besides, and how what is found is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from keepfit.core.nouns import Finding, FindingKind, Severity
from keepfit.data.anomalies.kinds import Anomaly, usual_severity
from keepfit.data.profile import Profile
from keepfit.data.schema import Schema

_KINDS = {Anomaly.FEATURE_ALIVE: FindingKind.ALIVE, Anomaly.FEATURE_DEAD: FindingKind.DEAD}


@dataclass(frozen=True, kw_only=True)
class Case:
    """The Profile to be judged; its `table` where that is at hand; the Profiles of the data before it (drift) and of
    what is served (skew); the environment it is for; the half-open `span` of time it should be of, and what time it is.
    """

    schema: Schema
    profile: Profile
    table: pa.Table | None = None
    previous: Profile | None = None
    serving: Profile | None = None
    environment: str = ""
    span: tuple[datetime, datetime] | None = None
    now: datetime | None = None

    def tell(
        self,
        anomaly: Anomaly,
        subject: str,
        sentence: str,
        measured: tuple[float, float] = (1, 0),
        *,
        severity: Severity | None = None,
        count: int = 0,
    ) -> Finding:
        """A Finding, as severe as the Schema says; `measured` is what was found and what was expected."""
        return Finding(
            subject,
            _KINDS.get(anomaly, FindingKind.ANOMALY),
            self.severity(anomaly, subject, severity),
            float(measured[0]),
            float(measured[1]),
            sentence,
            anomaly.value,
            count,
        )

    def severity(self, anomaly: Anomaly, subject: str, usual: Severity | None = None) -> Severity:
        """How severe an anomaly of a subject is: as the Schema says of it, else as is usual."""
        column = self.schema.column(subject)
        for said in (column.severity if column else {}, self.schema.severity):
            for key in (anomaly.value, "*"):
                if key in said:
                    return said[key]
        return usual or usual_severity(anomaly)
