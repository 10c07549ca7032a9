"""Parts of evaluators that are no choices of their own."""
