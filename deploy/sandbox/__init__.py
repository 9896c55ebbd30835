"""The whole product on one machine in one command, with a demo help desk and a mailbox to play both sides."""
