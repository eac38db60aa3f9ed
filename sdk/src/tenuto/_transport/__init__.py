"""Channels and streams: how an engine is reached, and reached again after a loss."""
