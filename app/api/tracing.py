"""Traces for OpenTelemetry: FastAPI's own, switched on by the usual OTEL_* variables when the SDK is installed.

Off, which is the default, it costs one look at a global per request. On, each request is one span, named after its
route and joined to the trace of the caller (W3C `traceparent`); metrics and logs go their own ways as before.
"""

from collections.abc import MutableMapping
from importlib.util import find_spec
from typing import Any

from fastapi.telemetry import TelemetryConfig

_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
_EXPORTER = "opentelemetry.exporter"


def tracing() -> TelemetryConfig:
    """What FastAPI should trace. An OTEL_EXPORTER_OTLP_ENDPOINT in the environment names the collector.

    Clusters set such variables for everybody, so one without the SDK (extra `otel`) is no error.
    """
    return TelemetryConfig(
        auto_configure=find_spec("opentelemetry.sdk") is not None and find_spec(_EXPORTER) is not None,
        tracing=True,
        metrics=False,
        logs=False,
        operation_spans=False,
        exclude=_is_probe,
    )


def _is_probe(scope: MutableMapping[str, Any]) -> bool:
    return scope.get("path") in _UNTRACED
