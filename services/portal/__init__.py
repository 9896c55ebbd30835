"""Shows requesters their ticket behind an emailed link, and takes their replies."""
