"""What the core and the runtime require of the outside, as Protocols and plain data."""
