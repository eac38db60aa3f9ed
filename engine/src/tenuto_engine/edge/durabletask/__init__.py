"""The Durable Task dialects: `TaskHubSidecarService` as Dapr's and Microsoft's SDKs speak it.

Translators only, on the same ports as the native services. What a dialect says beside the operations that the engine
knows (tags, versions, exact times) travels as the event's `foreign` bytes: a partial message of the event that confirms
the operation, made here and read only here (`foreign`).
"""
