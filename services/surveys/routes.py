"""Pages (being written)."""

routes = []
