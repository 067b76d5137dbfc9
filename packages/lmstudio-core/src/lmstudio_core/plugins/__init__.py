"""What extends the family: capabilities and hooks of installed packages; ``api`` is what they may use."""
