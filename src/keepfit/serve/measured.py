"""What a front worker measured of itself, as Prometheus text."""

from __future__ import annotations

import os

from keepfit.serve.plane import Plane


def measured(plane: Plane) -> str:
    """Everything counted."""
    slots = plane.slots
    labels = f'service="{slots.service}",worker="{os.getpid()}"'
    first = slots.majors.get(1)
    live = first.live if first else None
    numbers = {
        "records_captured_total": plane.capture.captured if plane.capture else 0,
        "records_lost_total": plane.capture.lost if plane.capture else 0,
        "labels_total": plane.intake.accepted if plane.intake else 0,
        "model_faults_total": plane.tally.answers[500],
        "mirrored_total": plane.mirrored,
        "unmirrored_total": plane.unmirrored,
        "drain_breaches_total": slots.breaches,
        "ready": int(live is not None),
        "live_version": live.version if live else 0,
        "leases": sum(routing.leases for deployment in slots.majors.values() for routing in deployment.all),
        "draining": slots.draining,
    }
    lines = plane.tally.prometheus(labels)
    for name, value in numbers.items():
        lines.append(f"# TYPE keepfit_{name} {'counter' if name.endswith('_total') else 'gauge'}")
        lines.append(f"keepfit_{name}{{{labels}}} {value}")
    return "\n".join(lines) + "\n"
