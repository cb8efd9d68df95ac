"""Findings as tensorflow-metadata's anomalies, and back."""

from __future__ import annotations

from collections.abc import Sequence

from keepfit.core.nouns import Finding, FindingKind, Severity
from keepfit.data.metadata.textproto import Message, parse, written
from keepfit.data.metadata.writing import schema_text
from keepfit.data.schema import Schema

_SEVERITIES = {"ERROR": Severity.ERROR, "WARNING": Severity.WARNING, "UNKNOWN": Severity.INFO}
_NAMES = {severity: name for name, severity in _SEVERITIES.items()}
_GRAVITY = (Severity.INFO, Severity.WARNING, Severity.ERROR)


def anomalies_text(findings: Sequence[Finding], schema: Schema) -> str:
    """Findings as an anomalies proto, column by column; the names that TFDV does not know are no types of it."""
    from keepfit.data.anomalies import TFDV

    known = {anomaly.value for anomaly in TFDV}
    message = Message().add("baseline", parse(schema_text(schema)))
    message.name("anomaly_name_format", "SERIALIZED_PATH")
    for subject in dict.fromkeys(finding.subject for finding in findings):
        those = [finding for finding in findings if finding.subject == subject]
        worst = max(those, key=lambda finding: _GRAVITY.index(finding.severity)).severity
        value = Message().add("description", " ".join(finding.sentence for finding in those))
        value.name("severity", _NAMES[worst])
        value.add("short_description", those[0].anomaly if len(those) == 1 else "Multiple errors")
        for finding in those:
            reason = Message()
            if finding.anomaly in known:
                reason.name("type", finding.anomaly)
            reason.add("short_description", finding.anomaly)
            value.add("reason", reason.add("description", finding.sentence))
        value.add("path", Message().add("step", subject))
        message.add("anomaly_info", Message().add("key", subject).add("value", value))
    return written(message)


def findings_of(text: str) -> tuple[Finding, ...]:
    """The Findings in an anomalies proto, one for each reason."""
    found = []
    for info in parse(text).all("anomaly_info"):
        value, subject = info.one("value"), info.text("key")
        severity = _SEVERITIES.get(value.word("severity"), Severity.INFO)
        for reason in value.all("reason"):
            anomaly = reason.word("type") or reason.text("short_description")
            sentence = reason.text("description")
            found.append(Finding(subject, FindingKind.ANOMALY, severity, 1.0, 0.0, sentence, anomaly))
    return tuple(found)
