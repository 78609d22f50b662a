"""
Declare etcd's messages, in a descriptor pool of our own.

Names, numbers and types are those of etcd's ``api/mvccpb/kv.proto`` and ``api/etcdserverpb/rpc.proto`` (v3.5; v3.4
agrees on every field here). They are declared at run time instead of generated, because generated code registers itself
in the process-wide pool, where a second etcd client makes it fail with "duplicate file name rpc.proto".

Enums are declared as ``int32``, which is the same on the wire; their names stand beside the field. Fields that we do
not use are left out: protobuf skips what it does not know.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["message"]

_PROTO = """
message KeyValue {                      // mvccpb
  bytes key = 1;
  int64 create_revision = 2;
  int64 mod_revision = 3;
  int64 version = 4;
  bytes value = 5;
  int64 lease = 6;
}

message ResponseHeader {
  uint64 cluster_id = 1;
  uint64 member_id = 2;
  int64 revision = 3;
  uint64 raft_term = 4;
}

message RangeRequest {
  bytes key = 1;
  bytes range_end = 2;
  int64 limit = 3;
  int64 revision = 4;
  bool serializable = 7;
  bool keys_only = 8;
  bool count_only = 9;
}
message RangeResponse {
  ResponseHeader header = 1;
  repeated KeyValue kvs = 2;
  bool more = 3;
  int64 count = 4;
}

message PutRequest {
  bytes key = 1;
  bytes value = 2;
  int64 lease = 3;
}
message PutResponse {
  ResponseHeader header = 1;
}

message DeleteRangeRequest {
  bytes key = 1;
  bytes range_end = 2;
}
message DeleteRangeResponse {
  ResponseHeader header = 1;
  int64 deleted = 2;
}

message Compare {
  int32 result = 1;                     // EQUAL = 0, GREATER = 1, LESS = 2, NOT_EQUAL = 3
  int32 target = 2;                     // VERSION = 0, CREATE = 1, MOD = 2, VALUE = 3, LEASE = 4
  bytes key = 3;
  oneof target_union {
    int64 version = 4;
    int64 create_revision = 5;
    int64 mod_revision = 6;
    bytes value = 7;
    int64 lease = 8;
  }
  bytes range_end = 64;
}
message RequestOp {
  oneof request {
    RangeRequest request_range = 1;
    PutRequest request_put = 2;
    DeleteRangeRequest request_delete_range = 3;
    TxnRequest request_txn = 4;
  }
}
message ResponseOp {
  oneof response {
    RangeResponse response_range = 1;
    PutResponse response_put = 2;
    DeleteRangeResponse response_delete_range = 3;
    TxnResponse response_txn = 4;
  }
}
message TxnRequest {
  repeated Compare compare = 1;
  repeated RequestOp success = 2;
  repeated RequestOp failure = 3;
}
message TxnResponse {
  ResponseHeader header = 1;
  bool succeeded = 2;
  repeated ResponseOp responses = 3;
}

message Event {                         // mvccpb
  int32 type = 1;                       // PUT = 0, DELETE = 1
  KeyValue kv = 2;
}
message WatchRequest {
  oneof request_union {
    WatchCreateRequest create_request = 1;
  }
}
message WatchCreateRequest {
  bytes key = 1;
  bytes range_end = 2;
  int64 start_revision = 3;
  bool progress_notify = 4;
  int64 watch_id = 7;
  bool fragment = 8;
}
message WatchResponse {
  ResponseHeader header = 1;
  int64 watch_id = 2;
  bool created = 3;
  bool canceled = 4;
  int64 compact_revision = 5;
  string cancel_reason = 6;
  bool fragment = 7;
  repeated Event events = 11;
}

message LeaseGrantRequest {
  int64 TTL = 1;                        // seconds
}
message LeaseGrantResponse {
  ResponseHeader header = 1;
  int64 ID = 2;
  int64 TTL = 3;
}
message LeaseKeepAliveRequest {
  int64 ID = 1;
}
message LeaseKeepAliveResponse {
  ResponseHeader header = 1;
  int64 ID = 2;
  int64 TTL = 3;                        // 0 if there is no such lease any more
}
message LeaseRevokeRequest {
  int64 ID = 1;
}
message LeaseRevokeResponse {
  ResponseHeader header = 1;
}

message Member {
  uint64 ID = 1;
  string name = 2;
  repeated string peerURLs = 3;
  repeated string clientURLs = 4;
  bool isLearner = 5;
}
message MemberListRequest {
  bool linearizable = 1;
}
message MemberListResponse {
  ResponseHeader header = 1;
  repeated Member members = 2;
}
message AlarmRequest {
  int32 action = 1;                     // GET = 0
}
message AlarmMember {
  uint64 memberID = 1;
  int32 alarm = 2;                      // NONE = 0, NOSPACE = 1, CORRUPT = 2
}
message AlarmResponse {
  ResponseHeader header = 1;
  repeated AlarmMember alarms = 2;
}
message StatusRequest {
}
message StatusResponse {
  ResponseHeader header = 1;
  string version = 2;
  int64 dbSize = 3;
  uint64 leader = 4;
  uint64 raftTerm = 6;
  repeated string errors = 8;
  int64 dbSizeInUse = 9;
  bool isLearner = 10;
}

message AuthenticateRequest {
  string name = 1;
  string password = 2;
}
message AuthenticateResponse {
  ResponseHeader header = 1;
  string token = 2;
}
"""

_PACKAGE = "etcdserverpb"
_SCALARS = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "uint64": descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
}
_LINE = re.compile(
    r"message (?P<message>\w+) \{"
    r"|oneof (?P<oneof>\w+) \{"
    r"|(?P<repeated>repeated )?(?P<type>\w+) (?P<name>\w+) = (?P<number>\d+);"
    r"|(?P<end>\})"
)


def message(name: str) -> Any:
    """Give the class of the message called *name*: a protobuf class, into which type checkers cannot see."""
    return _CLASSES[name]


def _declare(proto: str) -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="etcd_settings/rpc.proto", package=_PACKAGE, syntax="proto3")
    in_oneof = False
    for line in _LINE.finditer(re.sub(r"//.*", "", proto)):
        if line["message"]:
            file.message_type.add(name=line["message"])
        elif line["oneof"]:
            file.message_type[-1].oneof_decl.add(name=line["oneof"])
            in_oneof = True
        elif line["name"]:
            field = file.message_type[-1].field.add(name=line["name"], number=int(line["number"]))
            field.label = field.LABEL_REPEATED if line["repeated"] else field.LABEL_OPTIONAL
            if line["type"] in _SCALARS:
                field.type = _SCALARS[line["type"]]
            else:
                field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{line['type']}"
            if in_oneof:
                field.oneof_index = len(file.message_type[-1].oneof_decl) - 1
        else:
            in_oneof = False  # the brace of a oneof; after a message's own it is False already
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        declared.name: _class(pool.FindMessageTypeByName(f"{_PACKAGE}.{declared.name}"))
        for declared in file.message_type
    }


def _class(descriptor: Any) -> Any:
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    factory: Any = message_factory.MessageFactory(descriptor.file.pool)  # protobuf 4.21
    return factory.GetPrototype(descriptor)


_CLASSES = _declare(_PROTO)
