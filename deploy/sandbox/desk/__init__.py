"""A small help desk to try closeloop with. It stands for the platform that owns tickets, agents and accounts.

It shows how a neighbour talks with closeloop: it publishes the documented events and applies what comes back. It is
built on the same chassis, which a real help desk need not be: any client that writes CloudEvents to Kafka will do.
"""
