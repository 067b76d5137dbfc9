"""The server's own namespaces: its models, repository, runtime, itself, its diagnostics."""
