"""gRPC and HTTP in front: translate, call the runtime, map errors to status codes."""
