"""Bytes to facts and back, versioned: the only place that knows how records are encoded."""
