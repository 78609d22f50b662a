"""The figures are read as they are printed."""

from __future__ import annotations

from etcd_settings.testing.metrics import parse_metrics

PRINTED = """\
# HELP etcd_server_has_leader Whether or not a leader exists. 1 is existence, 0 is not.
# TYPE etcd_server_has_leader gauge
etcd_server_has_leader 1
grpc_server_handled_total{grpc_code="OK",grpc_method="Range",grpc_type="unary"} 12
process_start_time_seconds 1.76366e+09
odd{label="with a space"} +Inf
"""


def test_samples_are_named_with_their_labels() -> None:
    """A sample's name is all that stands before its value, labels and their spaces included."""
    assert {
        "etcd_server_has_leader": 1.0,
        'grpc_server_handled_total{grpc_code="OK",grpc_method="Range",grpc_type="unary"}': 12.0,
        "process_start_time_seconds": 1.76366e9,
        'odd{label="with a space"}': float("inf"),
    } == parse_metrics(PRINTED)
