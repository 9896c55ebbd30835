"""Decides who is asked about a resolved ticket, and keeps what they answer."""
