"""Generated protobuf messages of Tenuto's wire contract; see proto/generate.py."""
