"""Writes to people: to requesters when they are answered or asked, to agents when a requester writes."""
