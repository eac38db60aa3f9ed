"""Protobuf messages to the SDK's own types and back; nothing else here or above imports `tenuto_proto`."""
