"""The messages are etcd's, byte for byte, and nobody else's business."""

from __future__ import annotations

import subprocess
import sys

import pytest

from etcd_settings.etcd.messages import message


@pytest.mark.parametrize(
    ("name", "fields", "encoded"),
    [
        ("RangeRequest", {"key": b"a", "range_end": b"b", "limit": 7, "revision": 300}, "0a0161 120162 1807 20ac02"),
        ("PutRequest", {"key": b"k", "value": b"v", "lease": 1}, "0a016b1201761801"),
        ("DeleteRangeRequest", {"key": b"k", "range_end": b"l"}, "0a016b12016c"),
        ("AuthenticateRequest", {"name": "u", "password": "p"}, "0a0175120170"),
        ("KeyValue", {"key": b"k", "create_revision": 2, "value": b"v", "lease": 9}, "0a016b1002 2a0176 3009"),
        ("Compare", {"result": 3, "target": 2, "key": b"k", "mod_revision": 5}, "0803 1002 1a016b 3005"),
        ("Compare", {"key": b"k", "range_end": b"l", "value": b""}, "1a016b 3a00 8204016c"),
    ],
)
def test_a_message_is_encoded_as_etcds_proto_files_say(name: str, fields: dict[str, object], encoded: str) -> None:
    """The bytes were worked out by hand from field numbers and wire types."""
    assert bytes.fromhex(encoded) == message(name)(**fields).SerializeToString(deterministic=True)


def test_of_a_oneof_the_last_set_wins() -> None:
    """A oneof is declared as one, not as plain fields."""
    op = message("RequestOp")(request_put=message("PutRequest")(key=b"k"))
    op.request_range.key = b"r"

    assert "request_range" == op.WhichOneof("request")
    assert not op.HasField("request_put")


def test_another_etcd_client_may_register_the_same_names() -> None:
    """Our messages live in a pool of their own, so generated code with etcd's names loads before or after us."""
    program = """
from google.protobuf import descriptor_pb2, descriptor_pool

def register_as_generated_code_does():
    file = descriptor_pb2.FileDescriptorProto(name="rpc.proto", package="etcdserverpb", syntax="proto3")
    file.message_type.add(name="RangeRequest").field.add(name="other", number=1, type=9, label=1)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())

register_as_generated_code_does()
from etcd_settings.etcd.messages import message
assert message("RangeRequest")(key=b"a").SerializeToString() == b"\\n\\1a"
"""
    subprocess.run([sys.executable, "-c", program], check=True)
