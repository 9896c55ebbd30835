"""Keeps what requesters answered, and tells an account how satisfied they are."""
