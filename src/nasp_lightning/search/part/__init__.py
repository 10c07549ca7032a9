"""Parts that several searches share."""
