"""What several Estimation Codes share."""
