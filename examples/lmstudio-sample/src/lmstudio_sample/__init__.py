"""``client.sample``: what is on the server's disk, in short."""
