"""tensorflow-metadata as text, read and written without TensorFlow: schemas, statistics, anomalies."""

from keepfit.data.metadata.findings import anomalies_text, findings_of
from keepfit.data.metadata.schemas import schema_of
from keepfit.data.metadata.statistics import profile_of, statistics_text
from keepfit.data.metadata.textproto import Message, parse, written
from keepfit.data.metadata.writing import schema_text

__all__ = [
    "Message",
    "anomalies_text",
    "findings_of",
    "parse",
    "profile_of",
    "schema_of",
    "schema_text",
    "statistics_text",
    "written",
]
