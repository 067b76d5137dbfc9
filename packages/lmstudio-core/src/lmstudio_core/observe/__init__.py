"""What programs and plugins are told of: predictions, tool calls, embeddings, runs, progress."""
