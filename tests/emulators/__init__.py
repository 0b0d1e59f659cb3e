"""Real HTTP servers on loopback that stand in for what cannot run here."""
