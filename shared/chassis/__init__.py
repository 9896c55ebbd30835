"""How a service runs: settings, database, the reliable path from event to effect, health. Knows no event by name."""
