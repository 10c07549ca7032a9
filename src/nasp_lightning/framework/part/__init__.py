"""Mathematics and parts that several frameworks share."""
