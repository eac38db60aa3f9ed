"""The worker: takes turns and activities from the engine, runs them, and keeps results until they are acknowledged."""
