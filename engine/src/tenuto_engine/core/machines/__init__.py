"""One module per durable operation: which messages it accepts, and how its events change the state."""
