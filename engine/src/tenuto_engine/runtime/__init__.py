"""The shell around the core: loops, queues and tasks that own shards, run turns, fire reminders, deliver messages."""
