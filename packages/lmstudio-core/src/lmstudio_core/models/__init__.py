"""Model management shared by the capabilities that hold models."""
