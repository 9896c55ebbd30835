"""What portal and surveys, and in part the other two, show strangers: links, captchas, brands, languages, headers."""
